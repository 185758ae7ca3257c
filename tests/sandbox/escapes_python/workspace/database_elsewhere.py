# source: SQLite opens any path it is given
# expect: error: unable to open database
import sqlite3


def handler(args):
    connection = sqlite3.connect(":memory:")
    connection.execute("ATTACH '/var/tmp/planted.db' AS planted")
    connection.execute("CREATE TABLE planted.x (y)")
