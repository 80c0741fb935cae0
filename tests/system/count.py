"""What runs of scenarios share: each is run, told and counted."""

import os
import time
import traceback


class Count:
    def __init__(self):
        self.passed = self.failed = 0

    def run(self, name, act):
        """True if it passed. A failure is told with where it was."""
        began = time.monotonic()
        try:
            act()
        except Exception as error:  # every failure is reported, none stops the rest
            self.failed += 1
            print(f"FAIL {name}: {type(error).__name__}: {error}", flush=True)
            for frame in traceback.extract_tb(error.__traceback__)[1:]:
                print(f"     {os.path.basename(frame.filename)}:{frame.lineno}: {frame.line}", flush=True)
            return False
        self.passed += 1
        print(f"ok   {name} ({time.monotonic() - began:.1f} s)", flush=True)
        return True
