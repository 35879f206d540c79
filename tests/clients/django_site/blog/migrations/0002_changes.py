"""What changes make of it: fields come, go, are renamed and get other types, rows are changed by a program."""

import django.db.models.deletion
from django.db import migrations, models


def fill(apps, schema_editor):
    apps.get_model("blog", "Tag").objects.update(weight=1)


class Migration(migrations.Migration):
    dependencies = [("blog", "0001_initial")]
    operations = [
        migrations.AlterField("tag", "name", models.CharField(max_length=20, unique=True)),
        migrations.AddField("tag", "weight", models.IntegerField(default=1)),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RemoveField("post", "gone"),
        migrations.RenameField("post", "okay", "ok"),
        migrations.AlterField("post", "title", models.CharField(max_length=80, db_index=True)),
        migrations.AlterField("post", "score", models.DecimalField(max_digits=8, decimal_places=2, default=0)),
        migrations.AddField("post", "d", models.DateField(null=True)),
        migrations.AddField("post", "j", models.JSONField(default=dict)),
        migrations.AddField("post", "u", models.UUIDField(null=True)),
        migrations.AddField("post", "dur", models.DurationField(null=True)),
        migrations.AddField("post", "b", models.BinaryField(null=True)),
        migrations.AddField("post", "n", models.PositiveIntegerField(default=0)),
        migrations.AddField("post", "f", models.FloatField(null=True)),
        migrations.AddField("post", "status", models.SlugField(default="draft", db_comment="draft or published")),
        migrations.AddField("post", "parent", models.ForeignKey("blog.post", null=True, on_delete=django.db.models.deletion.CASCADE)),
        migrations.AddField("post", "tags", models.ManyToManyField("blog.tag", related_name="posts")),
        migrations.AddConstraint("post", models.CheckConstraint(condition=models.Q(score__gte=-5), name="score_not_too_low")),
        migrations.AddConstraint("post", models.UniqueConstraint(fields=["title", "n"], condition=models.Q(ok=True), name="one_title_each")),
        migrations.AddIndex("post", models.Index(fields=["-at", "title"], name="by_time")),
    ]
