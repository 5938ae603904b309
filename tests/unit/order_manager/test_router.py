from bus.runtime.clock import Clock
from components.order_manager.book import OrderBook
from components.order_manager.journal import Journal
from components.order_manager.router import Router
from schemas import SubmitOrder
from tests.support.builders import an_order
from tests.unit.order_manager.support import Desk, a_cancel, an_amendment


def a_router(**brokers: tuple[str, ...]) -> Router:
    clock, said = Clock(), []
    return Router(brokers, Journal(OrderBook(10), said.append, clock), said.append, clock)


def test_a_broker_without_symbols_serves_all():
    assert a_router(paper=()).broker_of("AAPL") == "paper"


def test_a_broker_that_names_the_symbol_comes_before_one_that_serves_all():
    router = a_router(rest=(), tech=("AAPL",))
    assert router.broker_of("AAPL") == "tech"
    assert router.broker_of("XOM") == "rest"


def test_of_several_brokers_the_first_in_the_file_is_taken():
    router = a_router(one=("AAPL",), two=("AAPL",), three=(), four=())
    assert router.broker_of("AAPL") == "one"
    assert router.broker_of("XOM") == "three"


def test_a_symbol_that_no_broker_serves_has_none():
    assert a_router(tech=("AAPL",)).broker_of("XOM") is None


def test_an_order_that_no_broker_serves_is_rejected():
    desk = Desk(brokers={"tech": ("AAPL",)})
    desk.publish(an_order(symbol="XOM"))
    assert desk.life() == ["RECEIVED", "REJECTED:NO_BROKER"]
    assert not desk.of(SubmitOrder)


def test_order_cancel_and_amendment_go_to_the_same_broker():
    desk = Desk(brokers={"rest": (), "tech": ("AAPL",)})
    desk.publish(an_order(), an_amendment(quantity=50.0), a_cancel())
    assert [m.broker for m in desk.said if hasattr(m, "broker")] == ["tech", "tech", "tech"]
