"""Draws the pictures of README.md here: python3 firmware/wiring/draw.py

With --check it writes nothing, and fails if a picture is not what it would draw.
"""

import os
import sys
from xml.sax.saxutils import escape

HERE = os.path.dirname(os.path.abspath(__file__))
STYLE = """
  .card { fill: #ffffff; stroke: #d0d7de; }
  text { font: 13px sans-serif; fill: #1f2328; }
  .small { font-size: 11.5px; fill: #57606a; }
  .title { font-size: 15px; font-weight: bold; }
  .wire { fill: none; stroke: #1f2328; stroke-width: 1.6; stroke-linejoin: round; stroke-linecap: round; }
  .part { fill: #ffffff; stroke: #1f2328; stroke-width: 1.6; }
  .solid { fill: #1f2328; stroke: #1f2328; stroke-width: 1.6; stroke-linejoin: round; }
  .board { fill: #eef4fb; stroke: #2f6fb5; stroke-width: 1.6; }
  .link { fill: none; stroke: #57606a; stroke-width: 1.2; stroke-dasharray: 4 4; }
  .signal { fill: none; stroke: #2f6fb5; stroke-width: 1.6; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #12171e; stroke: #30363d; }
    text { fill: #e6edf3; }
    .small { fill: #aeb7c1; }
    .wire { stroke: #e6edf3; }
    .part { fill: #12171e; stroke: #e6edf3; }
    .solid { fill: #e6edf3; stroke: #e6edf3; }
    .board { fill: #16222f; stroke: #4a8fd8; }
    .link { stroke: #8c959f; }
    .signal { stroke: #4a8fd8; }
  }
"""


class Drawing:
    """A circuit on a grid of pixels. Each part is at the point where its first wire ends, and says where the next begins."""

    def __init__(self, title, width, height):
        self.title, self.width, self.height = title, width, height
        self.parts = []

    def add(self, text):
        self.parts.append(text)

    def text(self, x, y, words, anchor="start", style=""):
        for number, line in enumerate(words.split("\n")):
            self.add(f'<text class="{style}" x="{x}" y="{y + 16 * number}" text-anchor="{anchor}">{escape(line)}</text>')

    def wire(self, *points, style="wire"):
        self.add(f'<polyline class="{style}" points="{" ".join(f"{x},{y}" for x, y in points)}"/>')

    def dot(self, x, y):
        self.add(f'<circle class="solid" cx="{x}" cy="{y}" r="2.6"/>')

    def box(self, x, y, width, height, style="part"):
        self.add(f'<rect class="{style}" x="{x}" y="{y}" width="{width}" height="{height}" rx="2"/>')

    def board(self, x, y, width, height, name, pins):
        """A board with pins at its right side: (y, name) each."""
        self.box(x, y, width, height, "board")
        self.text(x + 10, y + 22, name)
        for at, pin in pins:
            self.text(x + width - 8, at + 4, pin, "end", "small")

    def ground(self, x, y):
        self.wire((x, y), (x, y + 8))
        for number, half in enumerate((11, 7, 3)):
            self.wire((x - half, y + 8 + 4 * number), (x + half, y + 8 + 4 * number))
        return x, y

    def supply(self, x, y, volts):
        self.wire((x, y), (x, y - 10))
        self.wire((x - 8, y - 10), (x + 8, y - 10))
        self.text(x, y - 15, volts, "middle", "small")
        return x, y

    def resistor(self, x, y, value, down=False, left=False):
        if down:
            self.wire((x, y), (x, y + 12))
            self.box(x - 6, y + 12, 12, 36)
            self.wire((x, y + 48), (x, y + 60))
            self.text(x - 12 if left else x + 12, y + 34, value, "end" if left else "start", "small")
            return x, y + 60
        self.wire((x, y), (x + 12, y))
        self.box(x + 12, y - 6, 36, 12)
        self.wire((x + 48, y), (x + 60, y))
        self.text(x + 30, y - 12, value, "middle", "small")
        return x + 60, y

    def capacitor(self, x, y, value, down=False):
        if down:
            self.wire((x, y), (x, y + 27))
            self.wire((x - 12, y + 27), (x + 12, y + 27))
            self.wire((x - 12, y + 33), (x + 12, y + 33))
            self.wire((x, y + 33), (x, y + 60))
            self.text(x + 16, y + 34, value, "start", "small")
            return x, y + 60
        self.wire((x, y), (x + 27, y))
        self.wire((x + 27, y - 12), (x + 27, y + 12))
        self.wire((x + 33, y - 12), (x + 33, y + 12))
        self.wire((x + 33, y), (x + 60, y))
        self.text(x + 30, y - 18, value, "middle", "small")
        return x + 60, y

    def diode(self, x, y, name="", up=False):
        """Forward to the right, or upward: then (x, y) is the anode, below."""
        if up:
            self.wire((x, y), (x, y - 60))
            self.add(f'<polygon class="solid" points="{x - 9},{y - 22} {x + 9},{y - 22} {x},{y - 38}"/>')
            self.wire((x - 9, y - 38), (x + 9, y - 38))
            self.text(x + 14, y - 26, name, "start", "small")
            return x, y - 60
        self.wire((x, y), (x + 60, y))
        self.add(f'<polygon class="solid" points="{x + 22},{y - 9} {x + 22},{y + 9} {x + 38},{y}"/>')
        self.wire((x + 38, y - 9), (x + 38, y + 9))
        self.text(x + 30, y - 15, name, "middle", "small")
        return x + 60, y

    def mosfet(self, x, y, name):
        """An n-channel one: gate at (x, y); returns drain and source."""
        self.wire((x, y), (x + 14, y))
        self.wire((x + 14, y - 14), (x + 14, y + 14))
        for at in (-13, 0, 13):
            self.wire((x + 19, y + at - 5), (x + 19, y + at + 5))
        self.wire((x + 19, y - 13), (x + 34, y - 13), (x + 34, y - 30))
        self.wire((x + 19, y + 13), (x + 34, y + 13), (x + 34, y + 30))
        self.wire((x + 19, y), (x + 34, y), (x + 34, y + 13))
        self.add(f'<polygon class="solid" points="{x + 20},{y} {x + 27},{y - 4} {x + 27},{y + 4}"/>')
        self.text(x + 42, y + 6, name, "start", "small")
        return (x + 34, y - 30), (x + 34, y + 30)

    def coil(self, x, y, name):
        """Of a relay, downward, its link to the contacts at the right."""
        self.wire((x, y), (x, y + 14))
        self.box(x - 17, y + 14, 34, 24)
        self.wire((x - 17, y + 38), (x + 17, y + 14))
        self.wire((x, y + 38), (x, y + 52))
        self.text(x - 24, y + 30, name, "end")
        return x, y + 52

    def contact(self, x, y, name, closed=False):
        """Downward, at rest. Returns where it ends, and where its link is."""
        self.wire((x, y), (x, y + 15))
        if closed:
            self.wire((x, y + 15), (x + 13, y + 15))
            self.wire((x, y + 43), (x + 15, y + 11))
            middle = (x + 7, y + 28)
        else:
            self.wire((x, y + 43), (x - 15, y + 15))
            middle = (x - 7, y + 29)
        self.wire((x, y + 43), (x, y + 58))
        self.text(x + 18 if closed else x + 10, y + 33, name, "start", "small")
        return (x, y + 58), middle

    def load(self, x, y, name):
        """The actuator, downward, to ground."""
        self.wire((x, y), (x, y + 12))
        self.box(x - 26, y + 12, 52, 28)
        self.text(x, y + 31, name, "middle", "small")
        self.wire((x, y + 40), (x, y + 50))
        self.ground(x, y + 50)

    def square_wave(self, x, y):
        points = []
        for edge in range(4):
            left, right, high, low = x + edge * 12, x + edge * 12 + 12, y, y + 14
            level = low if edge % 2 else high
            points += [(left, level), (right, level)]
        self.wire(*points, style="signal")

    def svg(self):
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
                f'height="{self.height}" role="img">\n<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n'
                f'<rect class="card" x="0.5" y="0.5" width="{self.width - 1}" height="{self.height - 1}" rx="6"/>\n')
        return head + "\n".join(self.parts) + "\n</svg>\n"


def switched_relay(drawing, x, y, volts, contacts_x, name="K1"):
    """The coil above the MOSFET's drain at (x, y), with its diode; the height of the link to the contacts."""
    drawing.wire((x, y), (x, y - 12))
    top = y - 12 - 52
    drawing.coil(x, top, name)
    drawing.wire((x, top), (x, top - 14))
    drawing.supply(x, top - 14, volts)
    drawing.wire((x, y - 8), (x + 46, y - 8), (x + 46, y - 4))
    drawing.dot(x, y - 8)
    drawing.diode(x + 46, y - 4, up=True)
    drawing.wire((x + 46, y - 64), (x + 46, top - 6), (x, top - 6))
    drawing.dot(x, top - 6)
    link = top + 26
    drawing.wire((x + 17, link), (contacts_x, link), style="link")
    return link


def switched_valve(drawing, x, y, contact_x):
    """What the gate at (x, y) switches: a relay, and a valve by its contact."""
    drain, source = drawing.mosfet(x, y, "Q1")
    drawing.ground(*source)
    link = switched_relay(drawing, *drain, "5 V", contact_x - 7)
    end, _ = drawing.contact(contact_x, link - 29, "K1, opens when off")
    drawing.wire((contact_x, link - 29), (contact_x, link - 34))
    drawing.supply(contact_x, link - 34, "24 V")
    drawing.load(*end, "valve")


def board_ground(drawing, y):
    drawing.wire((150, y), (180, y), (180, y + 22))
    drawing.ground(180, y + 22)


def level():
    drawing = Drawing("A level output: the pin, a pull-down, a transistor, a relay", 760, 300)
    drawing.text(16, 28, drawing.title, style="title")
    drawing.board(20, 150, 130, 110, "board", ((200, "output"), (240, "GND")))
    x, y = drawing.resistor(150, 200, "1 kΩ")
    drawing.wire((x, y), (x + 50, y), (x + 90, y))
    drawing.dot(x + 50, y)
    drawing.text(x + 46, y - 10, "pull-down", "middle", "small")
    drawing.ground(*drawing.resistor(x + 50, y, "10 kΩ", down=True, left=True))
    switched_valve(drawing, x + 90, y, 550)
    board_ground(drawing, 240)
    return drawing


def pump():
    drawing = Drawing("A pulse output: a charge pump falls when the edges stop, whatever level the pin stays at", 900, 320)
    drawing.text(16, 28, drawing.title, style="title")
    drawing.board(20, 170, 130, 110, "board", ((220, "output"), (260, "GND")))
    drawing.square_wave(156, 174)
    x, y = drawing.resistor(150, 220, "330 Ω")
    x, y = drawing.capacitor(x, y, "C1  82 nF")
    drawing.dot(x, y)
    drawing.wire((x, y), (x, y + 68))
    drawing.diode(x, y + 68, "D1", up=True)
    drawing.ground(x, y + 68)
    x, y = drawing.diode(x, y, "D2")
    drawing.wire((x, y), (x + 150, y))
    for at in (x + 10, x + 90):
        drawing.dot(at, y)
    drawing.ground(*drawing.capacitor(x + 10, y, "C2\n1 µF", down=True))
    drawing.ground(*drawing.resistor(x + 90, y, "R1\n22 kΩ", down=True))
    switched_valve(drawing, x + 150, y, 750)
    board_ground(drawing, 260)
    return drawing


def readback():
    drawing = Drawing("A readback: the relay's opposite contact, closed when it is off", 760, 300)
    drawing.text(16, 28, drawing.title, style="title")
    drawing.board(20, 100, 130, 130, "board", ((140, "3.3 V"), (180, "readback"), (216, "GND")))
    drawing.wire((150, 140), (270, 140))
    drawing.wire((270, 140), (270, 120), (330, 120))
    x, y = drawing.resistor(330, 120, "10 kΩ, or the pin's own pull-up")
    drawing.wire((x, y), (420, 120), (420, 180))
    x, y = drawing.resistor(150, 180, "1 kΩ")
    drawing.wire((x, y), (420, 180))
    drawing.dot(420, 180)
    end, middle = drawing.contact(420, 180, "K1, force-guided: closed when off", closed=True)
    drawing.wire((150, 216), (180, 216), (180, 250), (420, 250), (420, end[1]))
    drawing.dot(420, 250)
    drawing.ground(420, 250)
    drawing.coil(660, 120, "")
    drawing.text(660, 112, "K1", "middle")
    drawing.wire((643, 146), (560, 146), (560, middle[1] - 10), (middle[0] + 6, middle[1] - 10), style="link")
    return drawing


def rs485():
    drawing = Drawing("RS-485: who has no lease can listen, and can't speak", 820, 360)
    drawing.text(16, 28, drawing.title, style="title")
    drawing.board(20, 70, 130, 240, "board", ((110, "TXD"), (150, "RXD"), (190, "RTS"), (270, "output")))
    drawing.box(560, 80, 110, 150)
    drawing.text(615, 100, "transceiver", "middle")
    for y, name in ((120, "DI"), (150, "RO"), (180, "/RE"), (210, "DE")):
        drawing.text(568, y + 4, name, "start", "small")
    drawing.wire((150, 110), (180, 110), (180, 120), (560, 120))
    drawing.wire((150, 150), (560, 150))
    drawing.wire((560, 180), (520, 180), (520, 186))
    drawing.ground(520, 186)
    for y, name in ((130, "A"), (170, "B")):
        drawing.wire((670, y), (760, y))
        drawing.text(768, y + 4, name)
    drawing.text(700, 156, "bus", "start", "small")
    # The switch between RTS and DE.
    drawing.box(290, 180, 120, 120)
    drawing.text(350, 200, "optocoupler", "middle")
    drawing.wire((150, 190), (230, 190), (230, 220), (290, 220))
    drawing.wire((290, 220), (330, 220), (342, 228))
    drawing.wire((342, 216), (342, 240))
    drawing.wire((342, 232), (358, 244), (380, 244), (380, 220), (410, 220))
    drawing.add('<polygon class="solid" points="358,244 348,242 353,235"/>')
    drawing.wire((410, 220), (470, 220), (470, 210), (560, 210))
    drawing.dot(470, 220)
    drawing.ground(*drawing.resistor(470, 220, "4.7 kΩ", down=True))
    drawing.wire((290, 280), (318, 280))
    drawing.wire((344, 280), (380, 280), (380, 330))
    drawing.add('<polygon class="solid" points="344,270 344,290 320,280"/>')
    drawing.wire((320, 270), (320, 290))
    drawing.wire((326, 264), (332, 254), style="signal")
    drawing.wire((336, 264), (342, 254), style="signal")
    x, y = drawing.resistor(380, 330, "470 Ω")
    drawing.wire((x, y), (520, y))
    drawing.supply(520, y, "3.3 V")
    drawing.wire((150, 270), (180, 270))
    drawing.box(180, 252, 84, 56)
    drawing.text(222, 276, "charge pump", "middle", "small")
    drawing.text(222, 294, "and Q1", "middle", "small")
    drawing.wire((264, 280), (290, 280))
    return drawing


def interlock():
    drawing = Drawing("Two boards, one actuator: neither relay can pull in while the other one is in", 760, 350)
    drawing.text(16, 28, drawing.title, style="title")
    drawing.text(160, 66, "board a", "middle")
    drawing.text(360, 66, "board b", "middle")
    links = {}
    for x, own, other in ((160, "K1", "K2"), (360, "K2", "K1")):
        drawing.supply(x, 110, "5 V")
        end, middle = drawing.contact(x, 110, f"{other}, closed when off", closed=True)
        links[own] = end[1] + 26
        links[f"{other} rest"] = middle
        x, y = drawing.coil(*end, own)
        drawing.wire((x, y), (x, y + 20))
        drawing.box(x - 62, y + 20, 124, 58, "board")
        drawing.text(x, y + 44, "Q1 of this board,", "middle", "small")
        drawing.text(x, y + 62, "level or pulse", "middle", "small")
        drawing.wire((x, y + 78), (x, y + 90))
        drawing.ground(x, y + 90)
    drawing.supply(590, 110, "24 V")
    drawing.wire((590, 110), (590, 150))
    drawing.wire((530, 150), (650, 150))
    drawing.dot(590, 150)
    for x, name in ((530, "K1"), (650, "K2")):
        end, _ = drawing.contact(x, 150, name)
        drawing.wire(end, (x, 230))
    drawing.wire((530, 230), (650, 230))
    drawing.dot(590, 230)
    drawing.wire((590, 230), (590, 250))
    drawing.load(590, 250, "valve")
    return drawing


PICTURES = {"level": level, "charge-pump": pump, "readback": readback, "rs485": rs485, "interlock": interlock}


def main():
    stale = []
    for name, draw in PICTURES.items():
        path, drawn = os.path.join(HERE, f"{name}.svg"), draw().svg()
        try:
            with open(path, encoding="utf-8") as file:
                there = file.read()
        except FileNotFoundError:
            there = None
        if there == drawn:
            continue
        if "--check" in sys.argv[1:]:
            stale.append(name)
            continue
        with open(path, "w", encoding="utf-8") as file:
            file.write(drawn)
    for name in stale:
        print(f"firmware/wiring/{name}.svg: is not what draw.py draws: run it")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
