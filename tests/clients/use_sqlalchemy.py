"""SQLAlchemy with the driver that is named as argument: create_all, reflection, ORM round trips."""

import asyncio
import datetime
import enum
import sys
import uuid
from decimal import Decimal
from typing import Any, List, Optional

import sqlalchemy as sa
from sqlalchemy import ForeignKey, func, select
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship, selectinload

from report import DATABASE, HOST, PORT, USER, check, equal, run

DRIVER = sys.argv[1]
URL = f"postgresql+{DRIVER}://{USER}@{HOST}:{PORT}/{DATABASE}"


class Kind(enum.Enum):
    home = "home"
    work = "work"


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "people"
    __table_args__ = (
        sa.CheckConstraint("age >= 0", name="age_is_positive"),
        sa.Index("people_lower_name", sa.text("lower(name)")),
        {"comment": "who we know"},
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(30), unique=True, index=False)
    age: Mapped[Optional[int]]
    amount: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2), default=Decimal("0.00"))
    at: Mapped[datetime.datetime] = mapped_column(sa.DateTime(timezone=True), server_default=func.now())
    born: Mapped[Optional[datetime.date]]
    active: Mapped[bool] = mapped_column(default=True)
    more: Mapped[Any] = mapped_column(pg.JSONB, default=dict)
    tags: Mapped[List[str]] = mapped_column(pg.ARRAY(sa.Text), default=list)
    code: Mapped[uuid.UUID] = mapped_column(default=uuid.uuid4)
    data: Mapped[Optional[bytes]]
    score: Mapped[Optional[float]]
    addresses: Mapped[List["Address"]] = relationship(back_populates="person", cascade="all, delete-orphan", order_by="Address.id")


class Address(Base):
    __tablename__ = "addresses"
    __table_args__ = (sa.UniqueConstraint("person_id", "email", name="one_email_each"),)
    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(start=100), primary_key=True)
    email: Mapped[str] = mapped_column(comment="where to write")
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    person: Mapped[Person] = relationship(back_populates="addresses")


class Labelled(DeclarativeBase):
    pass


class Thing(Labelled):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[Kind]
    kinds: Mapped[List[Kind]] = mapped_column(pg.ARRAY(sa.Enum(Kind)), default=list)


def asynchronous():
    from sqlalchemy.ext.asyncio import create_async_engine

    return create_async_engine(URL)


ENGINE = None if DRIVER == "asyncpg" else sa.create_engine(URL)


def sessions(what):
    """A check that is handed an ORM session, whatever the driver; what it leaves open is rolled back."""

    def add(function):
        if ENGINE is not None:
            def with_session():
                with Session(ENGINE) as session:
                    function(session)
        else:
            async def with_session():
                from sqlalchemy.ext.asyncio import AsyncSession

                engine = asynchronous()
                async with AsyncSession(engine) as session:
                    await session.run_sync(function)
                await engine.dispose()
        check(what)(with_session)

    return add


@sessions("create_all makes tables, and again finds them")
def create(session):
    Base.metadata.create_all(session.connection())
    Base.metadata.create_all(session.connection())
    session.commit()


@sessions("ORM objects: flush, refresh, server defaults")
def objects(session):
    ada = Person(name="Ada", age=36, amount=Decimal("12.50"), born=datetime.date(1815, 12, 10), more={"a": [1, None]},
                 tags=["x", 'y"'], data=b"\x00\xff", score=0.25, addresses=[Address(email="a@x"), Address(email="b@x")])
    session.add(ada)
    session.add_all([Person(name=f"p{number}") for number in range(5)])
    session.commit()
    session.expire_all()
    found = session.scalars(select(Person).where(Person.name == "Ada")).one()
    equal((found.id, found.age, found.amount, found.born, found.more, found.tags, bytes(found.data), found.score, found.active),
          (1, 36, Decimal("12.50"), datetime.date(1815, 12, 10), {"a": [1, None]}, ["x", 'y"'], b"\x00\xff", 0.25, True))
    assert found.at.tzinfo is not None and isinstance(found.code, uuid.UUID)
    equal([address.id for address in found.addresses], [100, 101])


@sessions("many rows in one flush come back in order")
def bulk(session):
    people = [Person(name=f"many {number}", age=number) for number in range(300)]
    session.add_all(people)
    session.flush()
    equal([person.id for person in people], list(range(people[0].id, people[0].id + 300)))
    got = session.scalars(sa.insert(Person).returning(Person.name, sort_by_parameter_order=True),
                          [{"name": f"more {number}"} for number in range(3)]).all()
    equal(got, ["more 0", "more 1", "more 2"])
    session.rollback()


@sessions("queries: joins, eager loads, aggregates, json, arrays, windows, lateral-free subqueries")
def queries(session):
    joined = session.scalars(select(Person).options(joinedload(Person.addresses)).where(Person.age > 30)).unique().all()
    equal([(person.name, len(person.addresses)) for person in joined], [("Ada", 2)])
    loaded = session.scalars(select(Person).options(selectinload(Person.addresses)).order_by(Person.id).limit(2)).all()
    equal([len(person.addresses) for person in loaded], [2, 0])
    counts = select(Address.person_id, func.count().label("n")).group_by(Address.person_id).subquery()
    equal(session.execute(select(Person.name, counts.c.n).join(counts, counts.c.person_id == Person.id)).all(), [("Ada", 2)])
    equal(session.scalar(select(func.sum(Person.amount))), Decimal("12.50"))
    equal(session.scalars(select(Person.name).where(Person.more["a"][0].as_integer() == 1)).all(), ["Ada"])
    equal(session.scalars(select(Person.name).where(sa.literal("x") == sa.any_(Person.tags))).all(), ["Ada"])
    equal(session.scalars(select(Person.name).where(Person.tags.contains(["x"]))).all(), ["Ada"])
    equal(session.scalars(select(Person.name).where(Person.name.ilike("P%"), Person.id.in_([2, 3, 99])).order_by(Person.name.desc())).all(), ["p1", "p0"])
    equal(session.execute(select(Person.id, func.row_number().over(order_by=Person.id.desc())).limit(1)).all()[0][1], 1)
    equal(session.scalar(select(sa.exists().where(Address.email == "a@x"))), True)
    equal(session.scalar(select(func.coalesce(func.max(Person.age), sa.literal(0)))), 36)
    equal(session.scalar(select(sa.extract("year", Person.born)).where(Person.name == "Ada")), Decimal("1815"))
    equal(session.scalar(select(sa.case((Person.age > 30, "old"), else_="young")).where(Person.name == "Ada")), "old")
    one = select(Person.name).where(Person.name == "p0").union_all(select(Address.email).where(Address.id == 100))
    equal(sorted(session.scalars(one).all()), ["a@x", "p0"])
    tree = select(sa.literal(1).label("n")).cte("tree", recursive=True)
    tree = tree.union_all(select(tree.c.n + 1).where(tree.c.n < 4))
    equal(session.scalars(select(tree.c.n)).all(), [1, 2, 3, 4])


@sessions("updates, upserts, deletes with their returned rows")
def changes(session):
    equal(session.execute(sa.update(Person).where(Person.name == "p0").values(age=Person.id + 1).returning(Person.age)).all(), [(3,)])
    upsert = pg.insert(Person).values(name="p0", age=9)
    upsert = upsert.on_conflict_do_update(index_elements=[Person.name], set_={"age": upsert.excluded.age}).returning(Person.age)
    equal(session.scalar(upsert), 9)
    equal(session.execute(pg.insert(Person).values(name="p0").on_conflict_do_nothing().returning(Person.id)).all(), [])
    locked = session.scalars(select(Person).where(Person.name == "Ada").with_for_update()).one()
    session.delete(locked)
    session.flush()
    equal(session.scalar(select(func.count()).select_from(Address)), 0)
    equal(session.execute(sa.delete(Person).where(Person.name.like("p%"))).rowcount, 5)
    session.rollback()


@sessions("savepoints and errors")
def savepoints(session):
    try:
        with session.begin_nested():
            session.add(Person(name="Ada"))
            session.flush()
        raise AssertionError("two Adas")
    except sa.exc.IntegrityError as error:
        assert "people_name_key" in str(error), error
    equal(session.scalar(select(func.count()).where(Person.name == "Ada")), 1)
    try:
        session.execute(select(sa.text("nope")).select_from(Person))
        raise AssertionError("a column that is not there")
    except sa.exc.ProgrammingError:
        session.rollback()


@sessions("isolation levels, autocommit, server-side cursors")
def levels(session):
    connection = session.connection(execution_options={"isolation_level": "SERIALIZABLE"})
    equal(connection.scalar(sa.text("show transaction_isolation")), "serializable")
    equal(connection.get_isolation_level(), "SERIALIZABLE")
    session.rollback()
    rows = session.execute(select(Person.name).order_by(Person.id), execution_options={"yield_per": 2})
    equal([len(part) for part in rows.partitions()], [2, 2, 2])


@sessions("reflection: columns, keys, indexes, checks, comments")
def reflection(session):
    inspector = sa.inspect(session.connection())
    equal(sorted(inspector.get_table_names()), ["addresses", "people"])
    columns = {column["name"]: column for column in inspector.get_columns("people")}
    equal([str(columns[name]["type"]) for name in ["id", "name", "amount", "at", "more", "tags", "code", "score", "data"]],
          ["INTEGER", "VARCHAR(30)", "NUMERIC(10, 2)", "TIMESTAMP", "JSONB", "ARRAY", "UUID", "DOUBLE PRECISION", "BYTEA"])
    equal((columns["id"]["autoincrement"], columns["name"]["nullable"], columns["age"]["nullable"], columns["at"]["default"]),
          (True, False, True, "now()"))
    identity = inspector.get_columns("addresses")[0]["identity"]
    equal((identity["start"], identity["always"]), (100, False))
    equal(inspector.get_pk_constraint("people")["constrained_columns"], ["id"])
    [key] = inspector.get_foreign_keys("addresses")
    equal((key["referred_table"], key["constrained_columns"], key["options"]), ("people", ["person_id"], {"ondelete": "CASCADE"}))
    indexes = {index["name"]: index for index in inspector.get_indexes("people")}
    equal(sorted(indexes), ["people_lower_name", "people_name_key"])
    # PostgreSQL shows the cast that lower() of a varchar needs; it is not needed here.
    equal([text.replace("::text", "") for text in indexes["people_lower_name"]["expressions"]], ["lower(name)"])
    equal([(index["name"], index["column_names"]) for index in inspector.get_unique_constraints("addresses")],
          [("one_email_each", ["person_id", "email"])])
    equal([(found["name"], found["sqltext"]) for found in inspector.get_check_constraints("people")], [("age_is_positive", "age >= 0")])
    equal(inspector.get_table_comment("people")["text"], "who we know")
    equal(inspector.get_columns("addresses")[1]["comment"], "where to write")
    equal((inspector.get_schema_names(), inspector.get_view_names()), (["information_schema", "public"], []))
    reflected = sa.MetaData()
    reflected.reflect(session.connection())
    equal(sorted(reflected.tables), ["addresses", "people"])
    equal(session.execute(select(reflected.tables["people"].c.name).limit(1)).all(), [("Ada",)])


@sessions("enums: created, stored, arrays of them, reflected, dropped")
def enums(session):
    Labelled.metadata.create_all(session.connection())
    session.add(Thing(kind=Kind.work, kinds=[Kind.home, Kind.work]))
    session.flush()
    session.expire_all()
    thing = session.scalars(select(Thing).where(Thing.kind == Kind.work)).one()
    equal((thing.kind, thing.kinds), (Kind.work, [Kind.home, Kind.work]))
    equal([(found["name"], found["labels"]) for found in sa.inspect(session.connection()).get_enums()], [("kind", ["home", "work"])])
    Labelled.metadata.drop_all(session.connection())
    session.commit()


@sessions("drop_all")
def drop(session):
    Base.metadata.drop_all(session.connection())
    equal(sa.inspect(session.connection()).get_table_names(), [])
    session.commit()


run(f"{sa.__version__}")
