"""The console on real processes: every command in both forms, on a leader, a follower and a board
without an issuer; who may act; line mode by hand; HTTP; and abuse, which costs nobody a lease."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading

from cluster import BIN, Cluster, now_ns, run_tests, wait_until
from measure import primary_and_standby
from tls_client import PROMPT, Console, split, tls_context


def three_kinds(cluster):
    """The leader, a follower, and a board that has no issuer."""
    leader = cluster.leader()
    return leader, next(i for i in cluster.issuers if i != leader), cluster.boards[0]


def human(cluster, node, *arguments, role="viewer"):
    """holdfastctl's human form: status, output, errors."""
    result = subprocess.run(
        [os.path.join(BIN, "holdfastctl"), "-c", cluster.conf(node), "-H", cluster.console(node),
         "--node", node,
         "--ca", cluster.path("pki", "ca.crt"), "--cert", cluster.path("pki", f"{role}.crt"),
         "--key", cluster.path("pki", f"{role}.key"), *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=30)
    return result.returncode, result.stdout, result.stderr


def refusal(cluster, code, node, *arguments, role="viewer"):
    """Asserts "ERR <code> <text>" and exit status 1; returns the text."""
    status, out, errors = human(cluster, node, *arguments, role=role)
    assert status == 1 and out == "", (arguments, status, out, errors)
    assert re.fullmatch(rf"ERR {code} [^\n]+\n", errors), (arguments, errors)
    return errors


def undisturbed(cluster, board, since):
    """
    `board` kept its lease all the time, by its guard's word, and nobody else drove. Of clusters whose
    ttl is as recommended: below that, an election on a busy machine may cost a healthy holder its own.
    """
    losses = cluster.losses(board, since)
    others = [e for e in cluster.drives() if e["t_ns"] > since and e["board"] != board]
    assert not losses and not others and not cluster.overlaps(), losses + others
    wait_until(lambda: cluster.driver() == board, what=f"{board} drives")


def assert_columns_differ(answer):
    """The first line behind "NAME:" of each table in an answer has every name once."""
    for head in re.findall(r"^\w+:\n  (\w.*)$", answer, re.M):
        names = head.split()
        assert len(names) == len(set(names)), answer


# Command, a field or list that its JSON has, words that its table has.
READS = [
    (("status",), "config_digest", ("node", "leader", "clock", "config")),
    (("leases",), "leases", ("pump", "holder", "token", "waiters")),
    (("leases", "--consistency", "leader"), "leases", ("pump",)),
    (("leases", "--consistency", "quorum"), "leases", ("pump",)),
    (("issuers",), "issuers", ("issuer-1", "match", "contact", "written")),
    (("agents",), "agents", ("board-a", "round_trip", "slack")),
    (("history",), "history", ("grant", "pump", "who", "why")),
    (("history", "-n", "1"), "history", ("pump",)),
    (("history", "--resource", "pump"), "history", ("pump",)),
    (("budget",), None, ()),
    (("metrics",), "metrics", ("holdfast_info", "# TYPE")),
    (("help",), "commands", ("transfer RESOURCE BOARD", "operator")),
]


def every_command_answers_in_both_forms_on_every_kind_of_node():
    cluster = Cluster().start_all()
    primary, standby = primary_and_standby(cluster)
    for node in three_kinds(cluster):
        console = Console(cluster, node)
        for words, key, expected in READS:
            command = " ".join(words)
            table = console.ask(command)
            missing = [w for w in expected if w not in table]
            assert not missing and not table.startswith("ERR"), (node, command, missing, table)
            assert_columns_differ(table)
            text = console.ask(command + " --json")
            assert text.count("\n") == 1 and text.endswith("\n"), (node, command, text)
            value = json.loads(text)
            assert key is None or value[key], (node, command, value)
        console.close()
        status, out, errors = human(cluster, node, "status")
        assert status == 0 and errors == "" and "config_digest" in out, (status, out, errors)
        lease = cluster.ctl(node, "leases")["leases"][0]
        assert lease["holder"] == primary and lease["waiters"] == standby, lease
        assert 0 < lease["left_ms"] <= 1000 * 1.1 + 20, lease
        assert len(cluster.ctl(node, "history", "-n", "1")["history"]) == 1
        for command in ("history", "watch"):
            said = refusal(cluster, 404, node, command, "--resource", "pmup")
            assert said.endswith(" resource pmup: must be one of issuer.policy, which names pump\n"), said
        agents = {a["board"]: a for a in cluster.ctl(node, "agents")["agents"]}
        assert agents[primary]["leases"] == 1 and agents[standby]["leases"] == 0, agents
    assert not cluster.overlaps() and cluster.close() == 0


def what_only_one_kind_of_node_has_is_refused_by_the_others():
    cluster = Cluster().start_all()
    primary, standby = primary_and_standby(cluster)
    leader, follower, _ = three_kinds(cluster)
    assert cluster.ctl(leader, "leases", "--consistency", "local")["leader"] is True
    local = wait_until(lambda: cluster.ctl(follower, "leases", "--consistency", "local"), what="")
    assert local["leader"] is False and local["leases"][0]["left_ms"] is None, local
    refusal(cluster, 404, primary, "leases", "--consistency", "local")
    refusal(cluster, 404, leader, "guard")
    guard = cluster.ctl(primary, "guard")
    row = guard["resources"][0]
    assert guard["connected"] and guard["watchdog"] == "none" and row["guard"] == "driving", guard
    assert row["outputs"] == "enable=on" and row["readback"] == "enable=on", row
    assert "enable=on" in human(cluster, primary, "guard")[1]
    assert cluster.ctl(standby, "guard")["resources"][0]["guard"] == "safe"
    status = cluster.ctl(leader, "status")
    assert status["issuer"] == "leader" and status["quorum"] and status["leader"] == leader, status
    assert all(i["config"] == "agrees" for i in status["issuers"]), status
    assert cluster.close() == 0


def mistakes_are_answered_and_the_session_goes_on():
    cluster = Cluster().start_all()
    leader, _, board = three_kinds(cluster)
    for node in (leader, board):
        console = Console(cluster, node, "operator")
        for line in ("nonsense", "status now", "leases --consistency maybe", "leases --consistency",
                     "history -n 0", "history -n x", "history -n", "history --resource", "watch all",
                     "transfer pump", "transfer pump board-a board-b", "pin", "unpin", "leader",
                     "leader transfer", "fault", "fault clear", "member add", "--json",
                     "transfer ../x board-a", "pin pump -x", " ".join("abcdefghijklmn"), "\xff\xfe"):
            answer = console.ask(line)
            assert re.fullmatch(r"ERR 400 [^\n]+\n", answer), (line, answer)
        there = node == leader  # a board takes no act
        for line, words in (("transfer nothing board-a", "resource nothing: must be one of"),
                            ("transfer pump nobody", "board nobody: must be one of the holders"),
                            ("token overrule nothing board-a", "resource nothing: must be one of"),
                            ("token overrule pump nobody", "board nobody: must be one of the holders"),
                            ("fault clear nothing board-a", "resource nothing: must be one of")):
            answer = console.ask(line)
            assert re.fullmatch(rf"ERR {404 if there else 421} [^\n]+\n", answer), (line, answer)
            assert not there or words in answer, (line, answer)
        # No act, where nothing is latched: the leader is asked whose output is stuck on.
        assert console.ask("fault clear nothing").startswith("ERR 404 resource nothing: must be one of")
        assert console.ask("fault clear pump").startswith(f"ERR 409 pump: no fault of it is latched at {node},")
        assert console.ask("") == "" and console.ask(" \t ") == ""
        assert console.ask("status\r").startswith("node ")
        longest = "status" + " " * (512 - len("status"))
        assert console.ask(longest).startswith("node ")
        console.close()
    assert cluster.close() == 0


def roles_decide_who_acts():
    cluster = Cluster().start_all()
    primary, _ = primary_and_standby(cluster)
    started = now_ns()
    acts = (("transfer", "pump", "board-b"), ("pin", "pump", "none"), ("unpin", "pump"),
            ("fault", "clear", "pump"), ("leader", "transfer", "issuer-2"))
    for node in three_kinds(cluster):
        for role in ("viewer", node):  # a node's certificate reads, too
            assert "role viewer" in Console(cluster, node, role).greeting
            for act in acts:
                refusal(cluster, 403, node, *act, role=role)
        assert "role operator" in Console(cluster, node, "operator").greeting
    undisturbed(cluster, primary, started)
    assert cluster.close() == 0


def operators_act_from_any_node():
    cluster = Cluster().start_all()
    primary, standby = primary_and_standby(cluster)
    for node in three_kinds(cluster):
        primary, standby = primary_and_standby(cluster)
        answer = cluster.ctl(node, "transfer", "pump", standby, role="operator")
        assert answer["from"] == primary and answer["to"] == standby, answer
        assert 0 <= answer["gap_ms"] < 2000, answer
        cluster.wait_driver([standby])
    primary, standby = primary_and_standby(cluster)
    result = human(cluster, primary, "transfer", "pump", standby, role="operator")
    assert result[0] == 0 and "gap " in result[1], result
    primary, standby = primary_and_standby(cluster)
    for words in (("pin", "pump", "board-x"), ("pin", "pmup", standby), ("pin", "pmup", "none")):
        wrong = cluster.ctl(primary, *words, role="operator", check=False)
        assert wrong.returncode == 1 and "must be one of" in wrong.stderr + wrong.stdout, wrong
    cluster.ctl(primary, "pin", "pump", standby, role="operator")
    cluster.wait_driver([standby])
    refusal(cluster, 409, standby, "transfer", "pump", primary, role="operator")
    assert "pinned" in cluster.ctl(primary, "leases")["leases"][0]["state"]
    cluster.ctl(standby, "pin", "pump", "none", role="operator")
    wait_until(lambda: cluster.driver() is None, what="nobody drives")
    lease = wait_until(lambda: next((l for l in cluster.ctl(primary, "leases")["leases"]
                                     if l["state"] == "free, pinned"), None), what="free", poll=0.02)
    assert lease["holder"] == "", lease
    cluster.ctl("issuer-1", "unpin", "pump", role="operator")
    cluster.wait_driver()
    done = [e["who"] for e in cluster.ctl("issuer-1", "history", "-n", "50")["history"]
            if e["event"] in ("operator", "transfer")]
    assert done.count("operator") >= 3, done
    assert not cluster.overlaps() and cluster.close() == 0


def acts_are_asked_of_an_issuer_or_of_whom_the_operator_names():
    cluster = Cluster().start_all()
    primary, _ = primary_and_standby(cluster)
    leader, _, board = three_kinds(cluster)
    files = ["--ca", cluster.path("pki", "ca.crt"), "--cert", cluster.path("pki", "operator.crt"),
             "--key", cluster.path("pki", "operator.key")]

    def ask(*words):
        result = subprocess.run([os.path.join(BIN, "holdfastctl"), *words],
                                stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                check=False, timeout=30)
        return result.returncode, result.stdout, result.stderr

    conf = ["-c", cluster.conf(leader)]
    at_board = ["-H", cluster.console(board), *files]
    allowed = f"must be issuer-1, issuer-2 or issuer-3, the issuers of {cluster.conf(leader)}"
    # A board does not stand in for an issuer: it is sent no act, and no backup is taken of it.
    backup = cluster.path("state.backup")
    for act in (("pin", "pump", "none"), ("unpin", "pump"), ("transfer", "pump", primary),
                ("fault", "clear", "pump"), ("member", "remove", "issuer-1"), ("backup", backup),
                ("token", "overrule", "pump", board), ("leader", "transfer", "issuer-2"),
                ("resource", "remove", "pump")):
        status, out, errors = ask(*conf, *at_board, *act)
        assert status == 3 and out == "" and f'is of node "{board}", {allowed}' in errors, (act, errors)
    assert not os.path.exists(backup)
    # Questions go on, and it is said whom they were asked.
    status, out, errors = ask(*at_board, "leases")
    assert status == 0 and "pump" in out and f"asked {board}, any node" in errors, (out, errors)
    # An issuer that the file names, and a board that is named: that sends acts on to one that is.
    for words in ([*conf, "-H", cluster.console(leader), *files],
                  [*conf, *at_board, "--node", board]):
        assert ask(*words, "unpin", "pump")[0] == 0, words
    # The board's word alone makes nobody an issuer.
    fewer = cluster.path("fewer.conf")
    with open(cluster.conf(board), encoding="ascii") as file:
        text = file.read()
    with open(fewer, "w", encoding="ascii") as file:
        file.write(text.replace(f'"{leader}"', '"issuer-9"'))
    status, out, errors = ask("-c", fewer, *at_board, "--node", board, "unpin", "pump")
    assert status == 1 and out == "" and f"{leader}: not asked: it is none of the issuers" in errors, \
        (status, out, errors)
    # Without a file nobody knows who they are, unless the operator says it.
    status, out, errors = ask("-c", cluster.path("none.conf"), "-H", cluster.console(leader), *files,
                              "unpin", "pump")
    assert status == 1 and "none.conf" in errors, (status, errors)
    assert ask("-H", cluster.console(leader), "--node", leader, *files, "unpin", "pump")[0] == 0
    assert cluster.close() == 0


def leader_transfer_moves_the_leader_and_no_lease():
    cluster = Cluster().start_all()
    primary, _ = primary_and_standby(cluster)
    started = now_ns()
    leader, follower, board = three_kinds(cluster)
    cluster.ctl(board, "leader", "transfer", follower, role="operator")
    wait_until(lambda: cluster.leader() == follower, what="the other leads", poll=0.02)
    cluster.ctl(follower, "leader", "transfer", leader, role="operator")
    wait_until(lambda: cluster.leader() == leader, what="the first leads again", poll=0.02)
    refusal(cluster, 409, leader, "leader", "transfer", "nobody", role="operator")
    assert "leads already" in refusal(cluster, 409, leader, "leader", "transfer", leader,
                                      role="operator")
    undisturbed(cluster, primary, started)
    assert cluster.close() == 0


def s_client_is_enough():
    cluster = Cluster().start_all()
    cluster.wait_driver()
    result = subprocess.run(
        ["openssl", "s_client", "-quiet", "-connect", cluster.console("issuer-1"), "-CAfile",
         cluster.path("pki", "ca.crt"), "-cert", cluster.path("pki", "viewer.crt"), "-key",
         cluster.path("pki", "viewer.key")], input="status\nleases --json\nnonsense\nquit\nstatus\n",
        capture_output=True, text=True, timeout=20, check=False)
    parts = result.stdout.split("holdfast> ")
    assert parts[0] == "holdfast issuer-1 console, role viewer\n", parts
    assert len(parts) == 5 and parts[4] == "", parts
    assert parts[1].startswith("node ") and json.loads(parts[2])["leases"], parts
    assert parts[3].startswith("ERR 400 "), parts
    waiting = Console(cluster, "issuer-1", timeout=5)  # says nothing, and is greeted
    assert waiting.greeting == parts[0]
    waiting.send("exit\r\n")
    assert waiting.rest() == ""
    assert cluster.close() == 0


def lines_sent_ahead_are_answered_in_order():
    cluster = Cluster().start_all()
    cluster.wait_driver()
    for node in three_kinds(cluster):
        console = Console(cluster, node, greeting=False)
        console.send("leases --consistency quorum --json\nstatus --json\nagents --json\n\n"
                     "issuers --json\nleases --consistency quorum --json\nhistory --json\nquit\n")
        parts = console.rest().split("holdfast> ")
        assert len(parts) == 9 and parts[4] == parts[8] == "", (node, parts)
        answers = [json.loads(parts[i]) for i in (1, 2, 3, 5, 6, 7)]
        for answer, key in zip(answers, ("leases", "node", "agents", "issuers", "leases",
                                         "history")):
            assert key in answer, (node, key, answer)
    assert cluster.close() == 0


def get(cluster, node, path):
    """(status, content type, body) of an HTTP request."""
    host, port = split(cluster.console(node))

    def attempt():
        client = http.client.HTTPSConnection(host, port, timeout=10,
                                             context=tls_context(cluster, "viewer"))
        try:
            client.request("GET", path)
            answer = client.getresponse()
            return answer.status, answer.getheader("Content-Type"), answer.read().decode()
        except http.client.BadStatusLine:
            return None  # on a busy machine it came so late that it was greeted like a person
        finally:
            client.close()
    return wait_until(attempt, what=f"{path} over HTTP")


def prometheus_gets_its_metrics_over_http():
    cluster = Cluster().start_all()
    primary = cluster.wait_driver()
    value = r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [-+0-9.e]+'
    for node in (*three_kinds(cluster), primary):
        status, content, body = get(cluster, node, "/metrics")
        assert status == 200 and "0.0.4" in content, status
        for line in body.splitlines():
            assert re.fullmatch(rf"holdfast_{value}|# (HELP|TYPE) holdfast_[a-z_]+ .+", line), line
        names = re.findall(r"# TYPE (\S+)", body)
        assert len(names) == len(set(names)) and "holdfast_info" in names, names
        assert ("holdfast_recovery_standing 0\n" in body) == (node in cluster.issuers), body
        assert get(cluster, node, "/secrets")[0] == 404
    assert 'holdfast_agent_holding{resource="pump"} 1' in body, body
    assert cluster.close() == 0


def watch_shows_events_as_they_happen():
    cluster = Cluster(resources={"pump": ["board-a", "board-b"], "fan": ["board-a", "board-b"]})
    cluster.start_all()
    primary_and_standby(cluster)
    kinds = three_kinds(cluster)
    streams = [(Console(cluster, node), "--json") for node in kinds]
    streams += [(Console(cluster, node), "--resource fan --json") for node in kinds]
    for console, options in streams:
        console.send(f"watch {options}\n")
    people = Console(cluster, kinds[2])
    people.send("watch\n")
    live = cluster.ctl_stream(kinds[1], "watch")
    # The answer to a later command on the same link says that a relayed watch has begun.
    cluster.ctl(kinds[2], "leases")
    for resource in ("pump", "fan"):
        cluster.ctl(kinds[0], "pin", resource, "board-a", role="operator")
        cluster.ctl(kinds[0], "unpin", resource, role="operator")
    for console, options in streams:
        wanted = {("fan", "operator")} | (set() if "fan" in options else {("pump", "operator")})
        seen = set()
        while not wanted <= seen:
            event = json.loads(console.line())
            seen.add((event["resource"], event["event"]))
        assert "fan" not in options or {r for r, _ in seen} == {"fan"}, seen
    assert "pump" in people.line()
    people.send("\n")  # anything typed ends it
    people.answer()
    assert people.answer() == "" and people.ask("status").startswith("node ")
    assert json.loads(live.stdout.readline())["index"] > 0
    live.kill()
    live.wait()
    # Gone in the middle: by a close, by a reset, by the other node's death.
    streams[0][0].close()
    for console, _ in streams[1:5]:
        console.reset()
    cluster.kill(kinds[0])
    assert "ERR 503" in streams[5][0].answer()
    assert streams[5][0].ask("status").startswith("node ")
    assert cluster.leader() and not cluster.overlaps() and cluster.close() == 0


def exit_statuses_tell_what_happened():
    cluster = Cluster().start_all()
    cluster.wait_driver()
    node = cluster.boards[0]
    assert human(cluster, node, "status")[0] == 0
    assert human(cluster, node, "transfer", "pump", "nobody", role="operator")[0] == 1
    assert human(cluster, node, "transfer", "pump")[0] == 2
    assert human(cluster, node, "nonsense")[0] == 2
    # What only the console can tell to be written wrong counts the same.
    assert human(cluster, node, "history", "-n", "0")[0] == 2
    # The configuration names the node: another one's certificate, of the same CA, will not do there.
    mine, other = cluster.path("mine.conf"), cluster.boards[1]
    for console, expected in ((node, 0), (other, 3)):
        address = cluster.console(console)
        cluster.write_conf(node, lambda t: t.replace(cluster.console(node), address), mine)
        result = subprocess.run([os.path.join(BIN, "holdfastctl"), "-c", mine, "status"],
                                capture_output=True, text=True, timeout=30, check=False)
        assert result.returncode == expected, result
    assert f'is of node "{other}", must be {node}' in result.stderr, result
    cluster.kill(node)
    status, out, errors = human(cluster, node, "status")
    assert status == 3 and out == "" and cluster.console(node) in errors, (status, errors)
    assert cluster.close() == 0


def without_a_leader_it_says_so():
    cluster = Cluster(ttl_ms=400).start_all()
    cluster.wait_driver()
    leader, follower, board = three_kinds(cluster)
    cluster.kill(*[i for i in cluster.issuers if i != follower])
    for node in (follower, board):
        wait_until(lambda n=node: "ERR 503" in human(cluster, n, "leases")[2], what="ERR 503",
                   poll=0.05)
        refusal(cluster, 503, node, "transfer", "pump", board, role="operator")
    assert cluster.ctl(follower, "leases", "--consistency", "local")["leader"] is False
    assert cluster.ctl(follower, "history")["history"], leader
    # The follower notices by its election timeout only.
    wait_until(lambda: cluster.ctl(follower, "status")["quorum"] is False, what="no quorum",
               poll=0.02)
    assert cluster.close() == 0


# ---- abuse

def too_long_a_line(cluster, node):
    console = Console(cluster, node)
    console.send("x" * 600)
    assert re.fullmatch(r"ERR 400 [^\n]+\n", console.rest())
    assert "refused: bad line: a command is " in cluster.log(node)


def a_flood_behind_a_command(cluster, node):
    console = Console(cluster, node)
    console.send("leases --consistency quorum\n" * 300 + "quit\n")
    answers = console.rest().split("holdfast> ")
    assert len(answers) == 301 and answers[-1] == "", (len(answers), answers[-1][-200:])


def binary_garbage(cluster, node):
    console = Console(cluster, node)
    console.send(bytes(range(256)) * 2)
    assert "ERR 400 " in console.rest()
    console = Console(cluster, node)
    console.send(b"sta\0tus\n")
    assert re.fullmatch(r"ERR 400 [^\n]+\n", console.rest())


def half_a_line(cluster, node):
    for leave in ("close", "reset"):
        console = Console(cluster, node)
        console.send("leases --consis")
        getattr(console, leave)()


def gone_in_the_middle_of_a_command(cluster, node):
    for command in ("watch", "leases --consistency quorum", "history", "issuers"):
        for leave in ("close", "reset"):
            console = Console(cluster, node, greeting=False)
            console.send(command + "\n")
            getattr(console, leave)()


def plain_text(cluster, node):
    with socket.create_connection(split(cluster.console(node)), 5) as plain:
        plain.sendall(b"status\r\nGET / HTTP/1.0\r\n\r\n")
        try:
            while plain.recv(4096):
                pass
        except ConnectionResetError:
            pass
    wait_until(lambda: "refused: no acceptable TLS: " in cluster.log(node), what="a log line")
    assert "no acceptable TLS: no acceptable TLS" not in cluster.log(node)


def twenty_at_once(cluster, node):
    consoles, lock = [], threading.Lock()

    def come():
        try:
            console = Console(cluster, node, greeting=False)
            console.send("status\n")
            console.answer()
            assert console.answer().startswith("node ")
            with lock:
                consoles.append(console)
        except (OSError, AssertionError):
            pass  # turned away
    threads = [threading.Thread(target=come) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= len(consoles) <= 20, len(consoles)
    for console in consoles:
        console.close()


def who_only_looks_leaves_room_for_operators():
    cluster = Cluster().start_all()
    for name in ("v2", "v3"):
        cluster.issue(name, "viewer")
    for name in ("o2", "o3"):
        cluster.issue(name, "operator")
    node = cluster.leader()
    # One certificate's share: its longest idle session gives way to its next.
    viewers = [Console(cluster, node) for _ in range(8)]
    viewers.append(Console(cluster, node))
    assert "ERR 503 this session's place is given to another" in viewers[0].rest()
    del viewers[0]
    watchers = [Console(cluster, node, "v2", greeting=False) for _ in range(4)]
    for watcher in watchers:
        watcher.send("watch\n")
    # All that viewers may have is taken, by sessions that have just been used.
    for console in viewers:
        console.ask("help")
    answer = Console(cluster, node, "v3", greeting=False).rest()
    assert answer == "ERR 503 too many sessions\n", answer
    assert "refused: too many sessions" in cluster.log(node) or \
        "too many connections: too many sessions" in cluster.log(node), cluster.log(node)[-500:]
    operators = [Console(cluster, node, name) for name in ("operator", "o2") for _ in range(2)]
    # A fifth operator is let in all the same: a viewer, idle for longest, leaves.
    operators.append(Console(cluster, node, "o3"))
    assert operators[-1].greeting.endswith("role operator\n")
    assert "place is given to another" in viewers[0].rest()
    for console in viewers[1:] + operators:
        assert console.ask("status").startswith("node ")
        console.close()
    for watcher in watchers:
        watcher.close()
    assert cluster.close() == 0


def abuse_costs_nobody_a_lease():
    cluster = Cluster().start_all()
    primary, _ = primary_and_standby(cluster)
    kinds = (cluster.leader(), primary)
    started = now_ns()
    # Slow ones stay for the whole time: in the handshake, and with half a line.
    slow = [socket.create_connection(split(cluster.console(node)), 5) for node in kinds]
    for connection in slow:
        connection.sendall(b"\x16\x03\x01")
    halves = [Console(cluster, node) for node in kinds]
    for half in halves:
        half.send("s")
    for node in kinds:
        for abuse in (too_long_a_line, a_flood_behind_a_command, binary_garbage, half_a_line,
                      gone_in_the_middle_of_a_command, plain_text):
            abuse(cluster, node)
    for half in halves:
        assert half.ask("tatus").startswith("node ")
        half.close()
    for node in kinds:
        twenty_at_once(cluster, node)
        wait_until(lambda n=node: human(cluster, n, "status")[0] == 0, what="room again", poll=0.05)
    for connection in slow:
        connection.close()
    undisturbed(cluster, primary, started)
    assert all(process.poll() is None for process in cluster.processes.values())
    assert cluster.close() == 0


def a_node_stops_at_once_whatever_its_console_is_doing():
    cluster = Cluster().start_all()
    cluster.wait_driver()
    leader, follower, board = three_kinds(cluster)
    sessions = []
    for node in (leader, follower, board):
        for command in ("watch", "watch", "leases --consistency quorum\n" * 10, "leas"):
            console = Console(cluster, node, greeting=False)
            console.send(command + ("" if command == "leas" else "\n"))
            sessions.append(console)
    for node in (board, follower, leader):
        process = cluster.processes[node]
        process.terminate()
        assert process.wait(3) == 0, node
    assert PROMPT in sessions[0].rest().encode()
    assert cluster.close() == 0


if __name__ == "__main__":
    sys.exit(run_tests([
        every_command_answers_in_both_forms_on_every_kind_of_node,
        what_only_one_kind_of_node_has_is_refused_by_the_others,
        mistakes_are_answered_and_the_session_goes_on,
        roles_decide_who_acts,
        operators_act_from_any_node,
        acts_are_asked_of_an_issuer_or_of_whom_the_operator_names,
        leader_transfer_moves_the_leader_and_no_lease,
        s_client_is_enough,
        lines_sent_ahead_are_answered_in_order,
        prometheus_gets_its_metrics_over_http,
        watch_shows_events_as_they_happen,
        exit_statuses_tell_what_happened,
        without_a_leader_it_says_so,
        abuse_costs_nobody_a_lease,
        who_only_looks_leaves_room_for_operators,
        a_node_stops_at_once_whatever_its_console_is_doing,
    ]))
