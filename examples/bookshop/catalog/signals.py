from django.db.models.signals import post_save
from django.dispatch import receiver

from .models import Announcement, Review


@receiver(post_save, sender=Review)
def announce_review(sender, instance, created, **kwargs):
    if created:
        Announcement.objects.create(text=f"{instance.reader} reviewed {instance.book.title}")
