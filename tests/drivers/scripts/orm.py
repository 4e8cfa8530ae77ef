"""What Python's ORMs do, from their first word to the end of a session. Prints a line a check: its name, a tab, the result as JSON.

    orm.py sqlalchemy|django HOST PORT [CA]

Each is asked for models, queries, transactions, bulk work, errors and inspection. All statements they send go the same way; with CA, a file of
certificates, in TLS, verified by them.
"""

import datetime
import decimal
import json
import re
import sys

APP = {"user": "app", "password": "app-secret"}
name, host, port, *ca = sys.argv[1:]
TLS = {"ssl": {"ca": ca[0]}} if ca else {}


def check(do):
    """Runs a check, and prints what came of it."""
    try:
        found = do()
    except Exception as error:
        # Of the driver's or the ORM's own kinds; the text tells them apart.
        found = ["error", type(error).__name__, re.sub(r"0x[0-9a-f]+", "0x", str(error))[:500]]
    print(do.__name__, json.dumps(found, default=repr, ensure_ascii=False), sep="\t", flush=True)


def each(prefix, values, do):
    """A check for each of some values."""
    for value in values:

        def one():
            return do(value)

        one.__name__ = f"{prefix} {value}"
        check(one)


VALUES = {
    "text": "Zażółć 😀",
    "amount": decimal.Decimal("12345.6789"),
    "at": datetime.datetime(2024, 2, 29, 1, 2, 3, 4),
    "day": datetime.date(2024, 2, 29),
    "count": 2**63 - 1,
    "ratio": 0.1,
    "yes": True,
    "data": b"\x00\xff'\\",
    "document": {"a": [1, None, "ü"]},
}


def sqlalchemy():
    import sqlalchemy as sa
    from sqlalchemy import orm
    from sqlalchemy.dialects import mysql
    from sqlalchemy.pool import QueuePool

    place = f"mysql+pymysql://app:app-secret@{host}:{port}"
    with sa.create_engine(place + "/", connect_args=TLS).begin() as conn:
        conn.execute(sa.text("DROP DATABASE IF EXISTS driven"))
        conn.execute(sa.text("CREATE DATABASE driven CHARACTER SET utf8mb4"))
    engine = sa.create_engine(place + "/driven?charset=utf8mb4", poolclass=QueuePool, pool_size=3, pool_pre_ping=True, connect_args=TLS)

    class Base(orm.DeclarativeBase):
        pass

    class Author(Base):
        __tablename__ = "authors"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(50), unique=True, nullable=False)
        books = orm.relationship("Book", back_populates="author", order_by="Book.id")

    class Book(Base):
        __tablename__ = "books"
        id = sa.Column(sa.Integer, primary_key=True)
        author_id = sa.Column(sa.ForeignKey("authors.id"))
        title = sa.Column(sa.String(50))
        author = orm.relationship("Author", back_populates="books")

    class Everything(Base):
        __tablename__ = "everything"
        id = sa.Column(sa.Integer, primary_key=True)
        text = sa.Column(sa.Text)
        amount = sa.Column(sa.Numeric(20, 4))
        at = sa.Column(mysql.DATETIME(fsp=6))
        day = sa.Column(sa.Date)
        count = sa.Column(sa.BigInteger)
        ratio = sa.Column(mysql.DOUBLE)
        yes = sa.Column(sa.Boolean)
        data = sa.Column(sa.LargeBinary)
        document = sa.Column(sa.JSON)

    session = orm.sessionmaker(engine)

    def version():
        with engine.connect() as conn:
            return [conn.dialect.server_version_info, conn.dialect.default_schema_name, conn.dialect.is_mariadb]

    def create():
        Base.metadata.create_all(engine)
        Base.metadata.create_all(engine)
        return sorted(sa.inspect(engine).get_table_names())

    def round_trip(column):
        with session.begin() as s:
            row = Everything(**{column: VALUES[column]})
            s.add(row)
            s.flush()
            s.expire(row)
            return [row.id, getattr(row, column)]

    def unit_of_work():
        with session.begin() as s:
            s.add(Author(name="Ada", books=[Book(title="One"), Book(title="Two")]))
            s.add(Author(name="Bob 😀", books=[Book(title=f"B{number}") for number in range(50)]))
            s.flush()
            return [[author.id, author.name, [book.id for book in author.books]] for author in s.scalars(sa.select(Author).order_by(Author.id))]

    def eager():
        with session.begin() as s:
            asked = sa.select(Author).options(orm.selectinload(Author.books)).order_by(Author.id)
            return [[author.name, len(author.books)] for author in s.scalars(asked)]

    def nested():
        with session.begin() as s:
            try:
                with s.begin_nested():
                    s.add(Author(name="Ada"))
            except sa.exc.IntegrityError as error:
                found = error.orig.args
            s.add(Author(name="Eve"))
            s.flush()
            return [found, s.scalar(sa.select(sa.func.count(Author.id)))]

    def rolled_back():
        with session() as s:
            s.add(Author(name="Nobody"))
            s.flush()
            s.rollback()
            return s.scalar(sa.select(sa.func.count(Author.id)))

    def isolation(level):
        with engine.connect().execution_options(isolation_level=level) as conn:
            return [conn.get_isolation_level(), tuple(conn.execute(sa.text("SELECT @@tx_isolation, @@autocommit")).one())]

    def isolation_after():
        with engine.connect() as conn:
            return [conn.get_isolation_level(), conn.default_isolation_level]

    def upsert():
        with engine.begin() as conn:
            statement = mysql.insert(Author).values(id=1, name="Ada II")
            return conn.execute(statement.on_duplicate_key_update(name=statement.inserted.name)).rowcount

    def stream():
        with engine.connect() as conn:
            rows = conn.execution_options(stream_results=True, yield_per=7).execute(sa.select(Book.id, Book.title).order_by(Book.id))
            return [tuple(row) for row in rows]

    def inspect(what):
        return getattr(sa.inspect(engine), f"get_{what}")("books")

    def update():
        with session.begin() as s:
            found = s.execute(sa.update(Book).where(Book.title.like("B%")).values(title="Changed")).rowcount
            return [found, s.execute(sa.delete(Book).where(Book.id > 40)).rowcount]

    def locked():
        with session.begin() as s:
            return [author.name for author in s.scalars(sa.select(Author).order_by(Author.id).with_for_update())]

    def pooled():
        found = []
        for number in range(30):
            with engine.connect() as conn:
                found.append(tuple(conn.execute(sa.text("SELECT @@in_transaction, :number"), {"number": number}).one()))
        return found

    def reflected():
        metadata = sa.MetaData()
        metadata.reflect(engine)
        return sorted([table.name, [[column.name, str(column.type)] for column in table.columns]] for table in metadata.tables.values())

    def bad(statement):
        with engine.connect() as conn:
            return conn.execute(sa.text(statement)).all()

    def many():
        with engine.begin() as conn:
            done = conn.execute(sa.insert(Book), [{"title": f"many {number}"} for number in range(2000)])
            return [done.rowcount, conn.scalar(sa.select(sa.func.count(Book.id)))]

    for do in [version, create]:
        check(do)
    each("round_trip", VALUES, round_trip)
    for do in [unit_of_work, eager, nested, rolled_back, upsert, stream, update, locked, pooled, reflected, many]:
        check(do)
    each("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "READ UNCOMMITTED", "AUTOCOMMIT"], isolation)
    check(isolation_after)
    each("inspect", ["columns", "pk_constraint", "foreign_keys", "indexes", "unique_constraints", "table_comment", "table_options", "check_constraints"], inspect)
    each("bad", ["SELEC 1", "SELECT * FROM nowhere", "SELECT nothing FROM books", "INSERT INTO books (author_id) VALUES (999)", "INSERT INTO authors (id) VALUES (77)"], bad)


def django():
    import django as package
    from django.conf import settings

    database = {"ENGINE": "django.db.backends.mysql", "NAME": "driven", "HOST": host, "PORT": port, "USER": APP["user"], "PASSWORD": APP["password"], "OPTIONS": {"charset": "utf8mb4"} | TLS}
    apps = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"]
    settings.configure(DATABASES={"default": database}, INSTALLED_APPS=apps, USE_TZ=True, SECRET_KEY="x", DEFAULT_AUTO_FIELD="django.db.models.BigAutoField")
    package.setup()
    import MySQLdb
    from django.contrib.auth.models import Group, Permission, User
    from django.core.management import call_command
    from django.db import connection, models, transaction
    from django.db.models import Count, F, Q

    conn = MySQLdb.connect(host=host, port=int(port), user=APP["user"], password=APP["password"], **TLS)
    conn.cursor().execute("DROP DATABASE IF EXISTS driven")
    conn.cursor().execute("CREATE DATABASE driven CHARACTER SET utf8mb4")

    class Everything(models.Model):
        text = models.TextField(null=True)
        amount = models.DecimalField(max_digits=20, decimal_places=4, null=True)
        at = models.DateTimeField(null=True)
        day = models.DateField(null=True)
        count = models.BigIntegerField(null=True)
        ratio = models.FloatField(null=True)
        yes = models.BooleanField(null=True)
        data = models.BinaryField(null=True)
        document = models.JSONField(null=True)

        class Meta:
            app_label = "driven"

    def version():
        return [connection.mysql_version, connection.mysql_is_mariadb, connection.features.supports_transactions, connection.mysql_server_data["sql_mode"]]

    def migrate():
        call_command("migrate", verbosity=0)
        with connection.schema_editor() as editor:
            editor.create_model(Everything)
        return sorted(connection.introspection.table_names())

    def migrate_again():
        call_command("migrate", verbosity=0)
        return Permission.objects.count()

    def round_trip(column):
        value = VALUES[column]
        if column == "at":
            value = value.replace(tzinfo=datetime.timezone.utc)
        with transaction.atomic():
            row = Everything.objects.create(**{column: value})
            return [row.pk, getattr(Everything.objects.get(pk=row.pk), column)]

    def users():
        with transaction.atomic():
            user = User.objects.create(username="ada", email="ada@example.org")
            user.groups.add(Group.objects.create(name="writers 😀"))
            return list(User.objects.filter(groups__name__startswith="writers").values("id", "username", "email"))

    def atomic():
        with transaction.atomic():
            try:
                with transaction.atomic():
                    User.objects.create(username="ada")
            except Exception as error:
                found = [type(error).__name__, error.args]
            User.objects.create(username="bob")
            return [found, User.objects.count()]

    def bulk():
        with transaction.atomic():
            Group.objects.bulk_create([Group(name=f"group {number}") for number in range(500)], batch_size=100)
            Group.objects.bulk_create([Group(name="group 1"), Group(name="group new")], ignore_conflicts=True)
            return [Group.objects.count(), Group.objects.filter(name__contains="9").update(name=models.functions.Concat(F("name"), models.Value("!")))]

    def get_or_create():
        with transaction.atomic():
            return [Group.objects.get_or_create(name="group 3")[1], Group.objects.get_or_create(name="fresh")[1], Group.objects.update_or_create(name="fresh", defaults={"name": "stale"})[1]]

    def aggregate():
        with transaction.atomic():
            return [Group.objects.aggregate(Count("id")), list(User.objects.annotate(size=Count("groups")).values_list("username", "size").order_by("username"))]

    def locked():
        with transaction.atomic():
            return [list(User.objects.select_for_update().order_by("id").values_list("username", flat=True)), list(User.objects.select_for_update(skip_locked=True).order_by("id").values_list("id", flat=True))]

    def iterated():
        with transaction.atomic():
            return [group.name for group in Group.objects.order_by("name").iterator(chunk_size=50)]

    def queried():
        with transaction.atomic():
            return list(User.objects.filter(Q(username="ada") | ~Q(email="")).exclude(last_login__isnull=False).distinct().values_list("username"))

    def raw():
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s, @@autocommit, @@tx_isolation, @@time_zone, @@sql_auto_is_null", ["ü😀"])
            return [cursor.fetchall(), [column[:2] for column in cursor.description]]

    def reconnected():
        connection.close()
        return raw()

    def usable():
        return [connection.is_usable(), connection.ensure_connection()]

    def constraints(table):
        with connection.cursor() as cursor:
            return connection.introspection.get_constraints(cursor, table)

    def described(table):
        with connection.cursor() as cursor:
            return [connection.introspection.get_table_description(cursor, table), connection.introspection.get_relations(cursor, table)]

    def bad(statement):
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def autocommit():
        transaction.set_autocommit(False)
        Group.objects.create(name="lost")
        transaction.rollback()
        transaction.set_autocommit(True)
        return Group.objects.filter(name="lost").count()

    def deleted():
        with transaction.atomic():
            return Group.objects.filter(name__startswith="group").delete()

    def flushed():
        call_command("flush", verbosity=0, interactive=False)
        return User.objects.count()

    for do in [version, migrate, migrate_again]:
        check(do)
    each("round_trip", VALUES, round_trip)
    for do in [users, atomic, bulk, get_or_create, aggregate, locked, iterated, queried, raw, reconnected, usable, autocommit]:
        check(do)
    tables = ["auth_user", "auth_group", "auth_permission", "auth_user_groups", "django_session"]
    each("constraints", tables, constraints)
    each("described", tables, described)
    each("bad", ["SELEC 1", "SELECT * FROM nowhere", "INSERT INTO auth_group (id) VALUES (1)", "INSERT INTO auth_user_groups (user_id, group_id) VALUES (99, 99)"], bad)
    for do in [deleted, flushed]:
        check(do)


{"sqlalchemy": sqlalchemy, "django": django}[name]()
