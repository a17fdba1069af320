from django.shortcuts import render

from .models import Order


def order_list(request):
    orders = Order.objects.filter(paid=False)
    rows = []
    for order in orders:
        rows.append({"number": order.pk, "customer": order.customer.name, "total": order.total})
    return render(request, "sales/order_list.html", {"rows": rows})
