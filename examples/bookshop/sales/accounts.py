"""Moving money between the shop's own accounts."""

from django.db import transaction

from .models import Account


class NotEnoughMoney(Exception):
    pass


@transaction.atomic
def transfer_funds(from_account_id: int, to_account_id: int, amount: int):
    source = Account.objects.get(pk=from_account_id)
    target = Account.objects.get(pk=to_account_id)
    source.balance -= amount
    target.balance += amount
    source.save(update_fields=["balance"])
    target.save(update_fields=["balance"])


def deposit(account_id: int, amount: int):
    account = Account.objects.get(pk=account_id)
    account.balance += amount
    account.save()


def withdraw(account_id: int, amount: int):
    account = Account.objects.get(pk=account_id)
    if account.balance < amount:
        raise NotEnoughMoney(f"{account.owner} has only {account.balance}")
    account.balance -= amount
    account.save()
    return account.balance


def balances():
    return {account.owner: account.balance for account in Account.objects.all()}
