# source: the polite way to run a program
# expect: error: PermissionError
import subprocess


def handler(args):
    return subprocess.run(["/bin/true"], check=True).returncode
