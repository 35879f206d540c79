"""One field of each kind, and relations of each kind."""

from django.db import models


class Tag(models.Model):
    name = models.CharField(max_length=20, unique=True)
    weight = models.IntegerField(default=1)


class Post(models.Model):
    title = models.CharField(max_length=80, db_index=True)
    body = models.TextField(blank=True)
    score = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    at = models.DateTimeField()
    d = models.DateField(null=True)
    ok = models.BooleanField(default=True)
    j = models.JSONField(default=dict)
    u = models.UUIDField(null=True)
    dur = models.DurationField(null=True)
    b = models.BinaryField(null=True)
    n = models.PositiveIntegerField(default=0)
    f = models.FloatField(null=True)
    status = models.SlugField(default="draft", db_comment="draft or published")
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE)
    tags = models.ManyToManyField(Tag, related_name="posts")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(score__gte=-5), name="score_not_too_low"),
            models.UniqueConstraint(fields=["title", "n"], condition=models.Q(ok=True), name="one_title_each"),
        ]
        indexes = [models.Index(fields=["-at", "title"], name="by_time")]
