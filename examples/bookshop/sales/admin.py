from django.contrib import admin

from .models import Account, Customer, Notification, Order, OrderLine


class OrderLineInline(admin.TabularInline):
    model = OrderLine
    raw_id_fields = ["book"]
    extra = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["pk", "customer", "placed_at", "paid"]
    inlines = [OrderLineInline]


admin.site.register([Account, Customer, Notification])
