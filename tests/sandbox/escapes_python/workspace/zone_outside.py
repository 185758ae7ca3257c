# source: zoneinfo takes a key for a path
# expect: error: Zone
import zoneinfo


def handler(args):
    return str(zoneinfo.ZoneInfo("../../../etc/passwd"))
