from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("sales/", include("sales.urls")),
    path("", include("catalog.urls")),
]
