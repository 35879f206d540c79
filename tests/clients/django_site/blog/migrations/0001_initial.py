"""The application as it was at first."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel("Tag", [
            ("id", models.BigAutoField(primary_key=True, serialize=False, auto_created=True, verbose_name="ID")),
            ("name", models.CharField(max_length=10)),
        ]),
        migrations.CreateModel("Post", [
            ("id", models.BigAutoField(primary_key=True, serialize=False, auto_created=True, verbose_name="ID")),
            ("title", models.CharField(max_length=50)),
            ("body", models.TextField(blank=True)),
            ("score", models.IntegerField(default=0)),
            ("at", models.DateTimeField()),
            ("gone", models.CharField(max_length=5, null=True)),
            ("okay", models.BooleanField(default=True)),
        ]),
    ]
