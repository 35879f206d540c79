"""Django: migrations of its own and of an app, the ORM, inspectdb, a test database that is created and destroyed."""

import io
import os
import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import django
from django.core.management import call_command
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Avg, Case, Count, Exists, F, Max, OuterRef, Prefetch, Q, Subquery, Sum, Value, When, Window
from django.db.models.functions import Coalesce, Concat, ExtractYear, Length, Lower, Rank, TruncMonth

from report import check, equal, run

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "django_site"))
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()

from blog.models import Post, Tag  # noqa: E402

AT = datetime(2026, 11, 22, 14, 20, 59, 51152, tzinfo=timezone.utc)


def command(*arguments, **options):
    out = io.StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


@check("migrate: Django's own applications and one of ours, whose fields change")
def migrate():
    command("migrate", verbosity=0)
    assert "[ ]" not in command("showmigrations"), "a migration is not applied"
    equal(command("makemigrations", check=True, dry_run=True).strip(), "No changes detected")


@check("migrate back and forth")
def back():
    command("migrate", "blog", "0001", verbosity=0)
    command("migrate", "blog", "zero", verbosity=0)
    command("migrate", "blog", verbosity=0)
    assert "blog_post" in connection.introspection.table_names()


@check("fields of all kinds come back as they went")
def fields():
    tag = Tag.objects.create(name="a")
    post = Post.objects.create(
        title="x", body="o'y\\", score=Decimal("1.50"), at=AT, d=date(2026, 1, 31), j={"a": {"b": 1}}, u=UUID(int=7),
        dur=timedelta(days=1, seconds=2), b=b"\x00\xff", n=1, f=0.25, status="draft",
    )
    post.tags.add(tag, Tag.objects.create(name="b"))
    found = Post.objects.get(pk=post.pk)
    equal([bytes(found.b)] + [getattr(found, name) for name in ["title", "body", "score", "d", "ok", "j", "u", "dur", "n", "f", "status"]],
          [b"\x00\xff", "x", "o'y\\", Decimal("1.50"), date(2026, 1, 31), True, {"a": {"b": 1}}, UUID(int=7),
           timedelta(days=1, seconds=2), 1, 0.25, "draft"])
    assert found.at == AT
    equal([tag.name for tag in found.tags.order_by("name")], ["a", "b"])


@check("bulk_create, update_conflicts, get_or_create, update_or_create, bulk_update, in_bulk")
def bulk():
    posts = Post.objects.bulk_create([Post(title=f"p{number}", n=number, at=AT + timedelta(days=40 * number)) for number in range(5)])
    assert all(post.pk for post in posts)
    Tag.objects.bulk_create([Tag(name="a"), Tag(name="c")], ignore_conflicts=True)
    Tag.objects.bulk_create([Tag(name="a", weight=5)], update_conflicts=True, unique_fields=["name"], update_fields=["weight"])
    equal(list(Tag.objects.order_by("name").values_list("name", "weight")), [("a", 5), ("b", 1), ("c", 1)])
    equal(Tag.objects.get_or_create(name="d")[1], True)
    equal(Tag.objects.update_or_create(name="d", defaults={"weight": 3})[1], False)
    for post in posts:
        post.body = "changed " + post.title
    equal(Post.objects.bulk_update(posts, ["body"]), 5)
    equal(sorted(tag for tag in Tag.objects.in_bulk(field_name="name")), ["a", "b", "c", "d"])


@check("filters: json, regex, case, dates, ranges, relations")
def filters():
    equal(Post.objects.filter(j__a__b=1, title__regex="^x").count(), 1)
    equal(Post.objects.filter(j__has_key="a").count(), 1)
    equal(Post.objects.filter(j__contains={"a": {"b": 1}}).count(), 1)
    equal(list(Post.objects.filter(title__iexact="P1").values_list("title", flat=True)), ["p1"])
    equal(Post.objects.filter(title__istartswith="P", body__icontains="GED").count(), 5)
    equal(Post.objects.filter(at__year=2027).count(), 4)
    equal(Post.objects.filter(at__date=date(2026, 11, 22)).count(), 2)
    equal(Post.objects.filter(d__week_day=7).count(), 1)
    equal(Post.objects.filter(n__range=(1, 3)).exclude(title="x").count(), 3)
    equal(Post.objects.filter(dur__gt=timedelta(hours=1)).count(), 1)
    equal(Post.objects.filter(Q(tags__name="a") | Q(title="p4")).values("pk").distinct().count(), 2)
    equal(list(Post.objects.order_by(F("d").asc(nulls_last=True), "-n")[:2].values_list("title", flat=True)), ["x", "p4"])


@check("DISTINCT of rows with an interval")
def distinct():
    equal(Post.objects.filter(Q(tags__name__in=["a", "b"])).distinct().count(), 1)


@check("annotations, aggregates, windows, subqueries, unions")
def annotations():
    got = Post.objects.aggregate(Sum("score"), Avg("n"), Count("id"), Max("at"))
    equal((got["score__sum"], got["id__count"]), (Decimal("1.50"), 6))
    assert abs(got["n__avg"] - 11 / 6) < 1e-9 and got["at__max"] == AT + timedelta(days=160)
    months = Post.objects.annotate(month=TruncMonth("at"), year=ExtractYear("at")).values("month", "year").annotate(c=Count("id")).order_by("month")
    equal([(row["month"].month, row["year"], row["c"]) for row in months][:2], [(11, 2026, 2), (1, 2027, 1)])
    post = Post.objects.annotate(x=Concat("title", Value("-"), "body", output_field=models.TextField()), l=Length("title"), e=F("at") + F("dur"), low=Lower("title"),
                                 k=Case(When(n__gt=3, then=Value("many")), default=Value("few"))).get(title="x")
    equal((post.x, post.l, post.e - post.at, post.low, post.k), ("x-o'y\\", 1, timedelta(days=1, seconds=2), "x", "few"))
    first = Tag.objects.filter(posts=OuterRef("pk")).order_by("name").values("name")[:1]
    equal(list(Post.objects.annotate(t=Subquery(first), has=Exists(first)).order_by("pk").values_list("t", "has")[:2]), [("a", True), (None, False)])
    ranked = Post.objects.annotate(r=Window(Rank(), order_by=F("n").desc())).order_by("r").values_list("title", "r")[:2]
    equal(list(ranked), [("p4", 1), ("p3", 2)])
    equal(Post.objects.values_list("n").union(Tag.objects.values_list("weight")).count(), 6)
    equal([row[0] for row in Tag.objects.annotate(c=Count("posts")).filter(c__gt=0).order_by("name").values_list("name")], ["a", "b"])


@check("select_related, prefetch_related, iterator, explain, defer")
def loading():
    parent = Post.objects.get(title="x")
    Post.objects.filter(title="p0").update(parent=parent, score=F("score") + 1)
    equal(Post.objects.select_related("parent").get(title="p0").parent.title, "x")
    loaded = Post.objects.prefetch_related(Prefetch("tags", queryset=Tag.objects.order_by("name"))).get(title="x")
    equal([tag.name for tag in loaded.tags.all()], ["a", "b"])
    equal(len(list(Post.objects.iterator(chunk_size=2))), 6)
    assert Post.objects.all().explain()
    equal(Post.objects.only("title").get(title="p0").score, Decimal("1.00"))


@check("transactions: atomic, savepoints, select_for_update, deferred constraints")
def transactions():
    with transaction.atomic():
        locked = Tag.objects.select_for_update().get(name="a")
        list(Tag.objects.select_for_update(skip_locked=True, of=("self",)))
        try:
            with transaction.atomic():
                Tag.objects.create(name="a")
            raise AssertionError("two tags of one name")
        except IntegrityError:
            pass
        locked.weight = 8
        locked.save()
    equal(Tag.objects.get(name="a").weight, 8)
    try:
        with transaction.atomic():
            Post.objects.filter(title="p0").update(parent=99999)
        raise AssertionError("a parent that is not there")
    except IntegrityError:
        pass
    try:
        Post.objects.create(title="neg", n=-1, at=AT)
        raise AssertionError("a check constraint that does not hold")
    except IntegrityError as error:
        assert "blog_post_n_check" in str(error), error


@check("deletes cascade as Django collects them; sequences are reset")
def deletes():
    equal(Post.objects.filter(Q(title="x") | Q(parent__title="x")).delete()[1]["blog.Post"], 2)
    from django.core.management.color import no_style

    Tag.objects.create(pk=50, name="fifty")
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), [Tag]):
            cursor.execute(statement)
    equal(Tag.objects.create(name="next").pk, 51)


@check("addresses: what GenericIPAddressField is made of")
def addresses():
    with connection.cursor() as cursor:
        cursor.execute("select host('10.0.0.1'::inet)")
        equal(cursor.fetchone(), ("10.0.0.1",))


@check("a time zone with rules")
def zones():
    with connection.cursor() as cursor:
        cursor.execute("select extract(hour from '2026-07-01 12:00+00'::timestamptz at time zone 'Europe/Paris')")
        equal(cursor.fetchone(), (Decimal("14"),))


@check("users, permissions, sessions")
def users():
    from django.contrib.auth.models import Group, Permission, User
    from django.contrib.sessions.backends.db import SessionStore

    user = User.objects.create_user("ada", "a@x", "secret")
    group = Group.objects.create(name="writers")
    group.permissions.add(Permission.objects.get(codename="add_post"))
    user.groups.add(group)
    assert User.objects.get(username="ada").has_perm("blog.add_post") and user.check_password("secret")
    session = SessionStore()
    session["x"] = 1
    session.save()
    equal(SessionStore(session.session_key)["x"], 1)


@check("dumpdata, flush, loaddata")
def fixtures():
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(command("dumpdata", "blog"))
        file.flush()
        before = Post.objects.count(), Tag.objects.count()
        command("flush", interactive=False, verbosity=0)
        equal(Tag.objects.count(), 0)
        command("loaddata", file.name, verbosity=0)
    equal((Post.objects.count(), Tag.objects.count()), before)
    assert Tag.objects.create(name="after").pk > 50


@check("inspectdb finds the models again")
def inspectdb():
    text = command("inspectdb", "blog_post", "blog_tag")
    for line in ["title = models.CharField(max_length=80)", "score = models.DecimalField(max_digits=8, decimal_places=2)",
                 "parent = models.ForeignKey('self', models.DO_NOTHING, blank=True, null=True)", "j = models.JSONField()",
                 "name = models.CharField(unique=True, max_length=20)", "id = models.BigAutoField(primary_key=True)",
                 "dur = models.DurationField(blank=True, null=True)"]:
        assert line in text, f"{line} is missing in: {text}"


@check("a test database is created, used and destroyed")
def test_database():
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True)
    equal(Tag.objects.count(), 0)
    Tag.objects.create(name="only here")
    connection.creation.destroy_test_db(name.removeprefix("test_"), verbosity=0)
    assert Tag.objects.filter(name="after").exists()


run(django.get_version())
