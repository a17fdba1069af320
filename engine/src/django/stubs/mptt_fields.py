from mptt.models import TreeForeignKey, TreeManyToManyField, TreeOneToOneField
