"""A shop whose customers have webhooks of their own.

DATABASE_URL=postgresql://… TIDINGS_URL=… TIDINGS_KEY=… WEBHOOK_SECRET=whsec_… uvicorn shop:app
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from tables import Account, Order, Table

from tidings import AsyncClient, publish_async, within_async
from tidings.receiving import AsyncPostgresStore, AsyncReceiver, Received
from tidings.receiving.fastapi import webhook

engine = create_async_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"))
sessions = async_sessionmaker(engine, expire_on_commit=False)
tidings = AsyncClient(os.environ["TIDINGS_URL"], os.environ["TIDINGS_KEY"])


@asynccontextmanager
async def asyncpg_connection() -> AsyncIterator[object]:
    async with engine.connect() as connection:
        yield (await connection.get_raw_connection()).driver_connection


receiver = AsyncReceiver(os.environ["WEBHOOK_SECRET"], store=AsyncPostgresStore(asyncpg_connection))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Table.metadata.create_all)
    await receiver.store.create_table()
    yield
    await tidings.aclose()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


class NewAccount(BaseModel):
    name: str
    credit: Decimal = Field(ge=0)


class NewOrder(BaseModel):
    total: Decimal = Field(gt=0)
    margin: Decimal = Decimal(0)


@app.get("/healthz")
async def healthz() -> str:
    return "ok"


@app.post("/accounts", status_code=201)
async def open_account(said: NewAccount) -> dict:
    account = Account(id=f"acct_{uuid4().hex}", **said.model_dump())
    await tidings.groups.create(account.id)  # first: a group without an account harms nobody
    async with sessions.begin() as session:
        session.add(account)
    return {"id": account.id}


@app.post("/accounts/{account_id}/orders", status_code=201)
async def order(account_id: str, said: NewOrder) -> dict:
    async with sessions.begin() as session:
        await found(session, Account, account_id)
        bought = Order(account_id=account_id, **said.model_dump())
        session.add(bought)  # table.orders.inserted, by the trigger: nothing to do for it
    return shown(bought)


@app.post("/orders/{order_id}/pay")
async def pay(order_id: int) -> dict:
    try:
        async with sessions.begin() as session:
            bought = await found(session, Order, order_id, with_for_update=True)
            if bought.status == "new":  # else it was paid: a second click tells nobody anything
                account = await found(session, Account, bought.account_id, with_for_update=True)
                paid = {"id": bought.id, "total": bought.total}
                await publish_async(session, "order.paid", paid, id=f"order-{bought.id}-paid", group=account.id)
                bought.status, account.credit = "paid", account.credit - bought.total
    except IntegrityError as error:  # credit_is_enough: rolled back, and the event with it
        raise HTTPException(402, "The account's credit is too small.") from error
    return shown(bought)


@app.get("/orders/{order_id}")
async def read_order(order_id: int) -> dict:
    async with sessions() as session:
        return shown(await found(session, Order, order_id))


@app.post("/accounts/{account_id}/portal-link")
async def portal_link(account_id: str) -> dict:
    async with sessions() as session:
        account = await found(session, Account, account_id)
    link = await tidings.portal_links.create(account.id, expires_in=3600, access="manage", brand={"name": account.name})
    return {"url": link.url}  # send the browser there, once you know that it is this customer's


@app.post("/webhooks")
@webhook(receiver)  # verified, and each event once
async def hear(event: Received) -> None:
    parcel = event.data["object"]
    async with sessions.begin() as session:
        await within_async(session, event.headers)  # what follows is an answer to this delivery: loops are found so
        bought = await session.get(Order, parcel.get("order_id"), with_for_update=True)
        if bought is not None and bought.status == "paid" and parcel.get("status") == "delivered":
            bought.status = "delivered"


async def found(session: AsyncSession, table: type[Table], key: object, **options: bool) -> Any:
    row = await session.get(table, key, **options)
    if row is None:
        raise HTTPException(404, f"There is no {table.__name__.lower()} {key}.")
    return row


def shown(bought: Order) -> dict:
    return {"id": bought.id, "account_id": bought.account_id, "total": bought.total, "status": bought.status}
