"""The Debian packages' life in a clean Debian 12: installed, upgraded, removed, purged. `make check-deb`.

  deb.py FOLDER      with the packages of this machine's architecture in it

mmdebstrap makes the system in a scratch folder and runs, within it, the steps below; nothing of this machine
is changed. Each step is a claim; ends with one line "N passed, M failed".
"""

import glob
import os
import shlex
import subprocess
import sys
import tempfile

PACKAGES = "holdfast holdfast-guard holdfast-gateway holdfast-bench libholdfast0 libholdfast-dev"
# Name -> what a shell in the clean system must find to be so. Each goes on from where the one before ended.
STEPS = {
    "they are installed with what they depend on": f"""
        apt-get install -y -qq --no-install-recommends systemd >/dev/null
        apt-get install -y -qq --no-install-recommends /debs/*.deb >/dev/null
        test $(dpkg-query -W -f '${{db:Status-Abbrev}}\\n' {PACKAGES} | grep -c '^ii') = 6""",
    "users, directories and groups are there": """
        test "$(stat -c '%U %G %a' /var/lib/holdfast)" = 'holdfast holdfast 2770'
        test "$(stat -c '%U %G %a' /run/holdfast)" = 'holdfast holdfast 2775'
        id -nG holdfast-guard | grep -qw holdfast-io
        if id -nG holdfast | grep -qw holdfast-io; then exit 1; fi""",
    "programs run": """
        for p in holdfastd holdfast-guard holdfast-gateway holdfastctl; do $p --version; done
        ldconfig -p | grep -q libholdfast.so.0
        zcat /usr/share/doc/holdfast/changelog.gz /usr/share/man/man8/holdfastd.8.gz >/dev/null""",
    "units are enabled and wait for a configuration": """
        for u in holdfastd holdfast-guard holdfast-gateway; do
            test "$(systemctl is-enabled $u)" = enabled
            grep -q '^ConditionPathExists=/etc/holdfast/holdfast.conf$' /lib/systemd/system/$u.service
        done
        test -z "$(ls -A /etc/holdfast)" """,
    "the limits are a conffile and nothing else is": f"""
        test "$(dpkg-query -W -f '${{Conffiles}}\\n' {PACKAGES} | awk 'NF {{ print $1 }}')" = /etc/security/limits.d/holdfast.conf""",
    "an upgrade keeps configuration, a changed limit, journal, and what is disabled": f"""
        echo node >/etc/holdfast/holdfast.conf; echo journal >/var/lib/holdfast/journal.0
        echo '# mine' >>/etc/security/limits.d/holdfast.conf; systemctl disable -q holdfast-gateway
        dpkg -i /debs/*.deb >/dev/null
        grep -q node /etc/holdfast/holdfast.conf; grep -q journal /var/lib/holdfast/journal.0
        grep -q mine /etc/security/limits.d/holdfast.conf
        test "$(systemctl is-enabled holdfast-gateway)" = disabled
        test "$(systemctl is-enabled holdfast-guard)" = enabled""",
    "what is removed leaves its journal and configuration": f"""
        apt-get remove -y -qq {PACKAGES} >/dev/null
        if command -v holdfastd; then exit 1; fi
        test -e /var/lib/holdfast/journal.0; test -e /etc/holdfast/holdfast.conf
        test -e /etc/security/limits.d/holdfast.conf""",
    "a second installation goes on from there": """
        apt-get install -y -qq --no-install-recommends /debs/*.deb >/dev/null
        grep -q journal /var/lib/holdfast/journal.0; grep -q mine /etc/security/limits.d/holdfast.conf""",
    "what is purged leaves the operator's configuration alone": f"""
        apt-get purge -y -qq {PACKAGES} >/dev/null
        test ! -e /var/lib/holdfast; test ! -e /etc/security/limits.d/holdfast.conf; test -e /etc/holdfast/holdfast.conf
        if find /etc/systemd /lib/systemd /usr/lib/sysusers.d /usr/lib/tmpfiles.d /lib/udev -name '*holdfast*' | grep .; then exit 1; fi
        test -z "$(dpkg-query -W -f '${{db:Status-Abbrev}} ${{Package}}\\n' '*holdfast*' 2>/dev/null | grep -v '^un')" """,
}


def script():
    """Each step is a shell of its own: `set -e` does not count in what is a condition. It leaves what it did."""
    lines = ["export DEBIAN_FRONTEND=noninteractive", "good=0; bad=0"]
    for name, body in STEPS.items():
        lines.append(f"sh -euc {shlex.quote(body)} >/tmp/step 2>&1 </dev/null\n"
                     f"if [ $? -eq 0 ]; then good=$((good + 1)); echo {shlex.quote('ok   ' + name)}\n"
                     f"else bad=$((bad + 1)); echo {shlex.quote('FAIL ' + name)}; tail -15 /tmp/step; fi")
    return "\n".join([*lines, 'echo "$good passed, $bad failed"'])


def archive():
    """Where this machine installs from, without its updates."""
    told = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Codename: bookworm",
                           "Origin: Debian", "Component: main"], capture_output=True, text=True, check=True).stdout
    return [f"deb {told.splitlines()[0]} bookworm main"] if told else []


def main():
    folder = os.path.abspath(sys.argv[1])
    packages = [p for p in sorted(glob.glob(os.path.join(folder, "*.deb"))) if "-dbgsym_" not in p]
    with tempfile.TemporaryDirectory(prefix="holdfast-deb-") as scratch:
        steps = os.path.join(scratch, "steps")
        with open(steps, "w", encoding="utf-8") as file:
            file.write(script())
        os.chmod(scratch, 0o755)
        made = subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=apt", f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
             '--customize-hook=mkdir "$1/debs"', *(f'--customize-hook=copy-in {shlex.quote(p)} /debs' for p in packages),
             f'--customize-hook=copy-in {shlex.quote(steps)} /', '--customize-hook=chroot "$1" sh /steps >&2',
             "bookworm", "/dev/null", *archive()], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=1500,
            check=False)
    print(made.stderr.strip())
    return 0 if made.returncode == 0 and " 0 failed" in made.stderr.splitlines()[-1] else 1


if __name__ == "__main__":
    sys.exit(main())
