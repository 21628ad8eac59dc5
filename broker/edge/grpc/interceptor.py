"""What every call passes: who calls, may they, do we still serve; and what its errors become."""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from grpc.aio import ServicerContext

from broker.edge.bearer import BearerTokens
from broker.edge.grpc.auth import OPEN_SERVICES, ROLES, authorization, enter, service_of
from broker.edge.grpc.errors import DrainingError, RoleMissingError, TokenRejectedError, fail
from broker.edge.grpc.flights import Flights
from broker.services.errors import ServiceError
from broker.services.principal import Role

Context: TypeAlias = ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Found: TypeAlias = "Handler | None"
Behaviour: TypeAlias = Callable[[Any, Context], Awaitable[Any]]
Continuation: TypeAlias = Callable[[grpc.HandlerCallDetails], Awaitable[Found]]

ENDLESS = ("Watch", "ServerReflection")
"""Streams that end with their caller begin so: a drain cuts them, and lets all others finish."""


@dataclass(frozen=True, slots=True)
class _Guarded:
    """A method's handler as it is run, and who may run it; `roles` None: anybody."""

    method: str
    handler: Handler
    roles: frozenset[Role] | None


class Guard(grpc.aio.ServerInterceptor):
    """Lets calls in, turns their errors into statuses, and knows which are under way."""

    def __init__(self, tokens: BearerTokens, flights: Flights, replica: str) -> None:
        self._tokens = tokens
        self._flights = flights
        self._replica = replica
        self._guarded: dict[str, _Guarded] = {}

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Found:
        """The handler to run: the method's own, watched, or one that refuses."""
        method = handler_call_details.method
        guarded = self._guarded.get(method)
        if guarded is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            guarded = self._guarded[method] = self._guard(method, handler)
        refusal = self._refusal(guarded, handler_call_details)
        return guarded.handler if refusal is None else _refusing(guarded, refusal)

    def _refusal(self, guarded: _Guarded, call: grpc.HandlerCallDetails) -> ServiceError | None:
        if guarded.roles is None:
            return None
        tokens = self._tokens
        sent = "" if tokens.is_open else authorization(call.invocation_metadata)
        principal = tokens.principal(sent)
        if principal is None:
            return TokenRejectedError()
        if guarded.roles.isdisjoint(principal.roles):
            return RoleMissingError(principal.name, guarded.roles)
        if self._flights.is_draining:
            return DrainingError(self._replica)
        enter(principal)
        return None

    def _guard(self, method: str, handler: Handler) -> _Guarded:
        service = service_of(method)
        roles = None if service in OPEN_SERVICES else ROLES.get(service, frozenset())
        make = self._stream if handler.response_streaming else self._unary
        return _Guarded(method, _like(handler, make(method, handler)), roles)

    def _unary(self, method: str, handler: Handler) -> Behaviour:
        flights = self._flights
        behaviour: Any = handler.unary_unary
        parse: Any = handler.request_deserializer

        async def unary(request: bytes, context: Context) -> object:
            flights.begin()
            try:
                return await behaviour(parse(request), context)
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told a status
                await fail(context, error, method)
            finally:
                flights.end()

        return unary

    def _stream(self, method: str, handler: Handler) -> Behaviour:
        """Streams write their own messages, so that a drain can interrupt them anywhere."""
        flights, replica = self._flights, self._replica
        behaviour: Any = handler.unary_stream or handler.stream_stream
        parse: Any = handler.request_deserializer if handler.unary_stream else None
        is_generator = inspect.isasyncgenfunction(behaviour)
        is_endless = method.rpartition("/")[2].startswith(ENDLESS)

        async def stream(request: Any, context: Context) -> None:  # noqa: ANN401 - bytes, or many
            flights.begin()
            try:
                async with flights.endless() if is_endless else nullcontext():
                    answer = behaviour(parse(request) if parse else request, context)
                    await (_write_all(answer, context) if is_generator else answer)
            except TimeoutError as error:
                is_cut = is_endless and flights.is_draining
                await fail(context, DrainingError(replica) if is_cut else error, method)
            except Exception as error:  # noqa: BLE001 - as above
                await fail(context, error, method)
            finally:
                flights.end()

        return stream


async def _write_all(messages: AsyncGenerator[Any, None], context: Context) -> None:
    async with aclosing(messages) as closing:
        async for message in closing:
            await context.write(message)


def _refusing(guarded: _Guarded, refusal: ServiceError) -> Handler:
    async def refuse(_request: object, context: Context) -> None:
        await fail(context, refusal, guarded.method)

    return _like(guarded.handler, refuse)


def _like(handler: Handler, behaviour: Behaviour) -> Handler:
    """The same method with another behaviour, which parses a single request by itself.

    A request that cannot be parsed is then the caller's fault like any other; gRPC would say
    UNKNOWN.
    """
    makers = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    make: Any = makers[handler.request_streaming, handler.response_streaming]
    parse = handler.request_deserializer if handler.request_streaming else None
    made: Handler = make(behaviour, parse, handler.response_serializer)
    return made
