# source: an archive may name a file outside
# expect: value: ["passwd"]
# level: A
import io
import os
import zipfile


def handler(args):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("../../etc/passwd", "x")
    zipfile.ZipFile(data).extractall("out")
    return os.listdir("out/etc")
