"""What the shop keeps. Nothing here knows of Tidings: tidings.yaml says which rows are told to whom."""

from decimal import Decimal

from sqlalchemy import CheckConstraint, ForeignKey, Numeric
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Money = Numeric(12, 2)


class Table(DeclarativeBase):
    """All tables of the shop."""


class Account(Table):
    """A customer. Its id names its group in Tidings as well."""

    __tablename__ = "accounts"
    __table_args__ = (CheckConstraint("credit >= 0", name="credit_is_enough"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    credit: Mapped[Decimal] = mapped_column(Money)


class Order(Table):
    """What a customer bought."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"))
    total: Mapped[Decimal] = mapped_column(Money)
    margin: Mapped[Decimal] = mapped_column(Money)
    status: Mapped[str] = mapped_column(default="new")
