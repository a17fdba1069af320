from django.contrib.contenttypes.models import ContentType
from django.db import models



class PermissionManager(models.Manager):
    def get_by_natural_key(self, codename, app_label, model):
        return self.get(codename=codename)


class Permission(models.Model):
    name = models.CharField(max_length=255)
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    codename = models.CharField(max_length=100)
    objects = PermissionManager()

    class Meta:
        unique_together = [["content_type", "codename"]]
        ordering = ["content_type__app_label", "content_type__model", "codename"]

    def __str__(self):
        return "%s | %s" % (self.content_type, self.name)


class GroupManager(models.Manager):
    def get_by_natural_key(self, name):
        return self.get(name=name)


class Group(models.Model):
    name = models.CharField(max_length=150, unique=True)
    permissions = models.ManyToManyField(Permission, blank=True)
    objects = GroupManager()

    def __str__(self):
        return self.name


class BaseUserManager(models.Manager):
    def get_by_natural_key(self, username):
        return self.get(username=username)


class UserManager(BaseUserManager):
    def create_user(self, username, email=None, password=None, **extra_fields):
        user = self.model(username=username, email=email, **extra_fields)
        user.save(using=self._db)
        return user

    def create_superuser(self, username, email=None, password=None, **extra_fields):
        return self.create_user(username, email, password, **extra_fields)

    def with_perm(self, perm, is_active=True, include_superusers=True, backend=None, obj=None):
        return unknown(perm)


class AbstractBaseUser(models.Model):
    password = models.CharField(max_length=128)
    last_login = models.DateTimeField(blank=True, null=True)
    is_active = True

    class Meta:
        abstract = True

    def __str__(self):
        return self.get_username()

    def save(self, **kwargs):
        super().save(**kwargs)
        if self._password is not None:
            unknown(self)

    def get_username(self):
        return unknown(self)

    @property
    def is_anonymous(self):
        return False

    @property
    def is_authenticated(self):
        return True

    def set_password(self, raw_password):
        self.password = unknown(raw_password)
        self._password = raw_password

    def check_password(self, raw_password):
        return unknown(self)

    def set_unusable_password(self):
        self.password = unknown()

    def has_usable_password(self):
        return unknown(self.password)


class PermissionsMixin(models.Model):
    is_superuser = models.BooleanField(default=False)
    groups = models.ManyToManyField(Group, blank=True, related_name="user_set", related_query_name="user")
    user_permissions = models.ManyToManyField(
        Permission, blank=True, related_name="user_set", related_query_name="user"
    )

    class Meta:
        abstract = True

    def get_all_permissions(self, obj=None):
        return unknown(self)

    def has_perm(self, perm, obj=None):
        return unknown(self)

    def has_perms(self, perm_list, obj=None):
        return unknown(self)

    def has_module_perms(self, app_label):
        return unknown(self)


class AbstractUser(AbstractBaseUser, PermissionsMixin):
    username = models.CharField(max_length=150, unique=True)
    first_name = models.CharField(max_length=150, blank=True)
    last_name = models.CharField(max_length=150, blank=True)
    email = models.EmailField(blank=True)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=unknown)
    objects = UserManager()

    class Meta:
        abstract = True

    def get_username(self):
        return self.username

    def get_full_name(self):
        return "%s %s" % (self.first_name, self.last_name)

    def get_short_name(self):
        return self.first_name

    def email_user(self, subject, message, from_email=None, **kwargs):
        unknown(self.email)


class User(AbstractUser):
    class Meta(AbstractUser.Meta):
        swappable = "AUTH_USER_MODEL"


class AnonymousUser:
    id = None
    pk = None
    username = ""
    is_staff = False
    is_active = False
    is_superuser = False
    is_anonymous = True
    is_authenticated = False
