"""The sealing keys of one broker: those of its key file, and those that services keep for it."""

import asyncio
from collections.abc import Sequence
from secrets import token_bytes

from broker.adapters.keyfiles import KeyFile, KeyFileError
from broker.adapters.seal import wording
from broker.adapters.seal.sealer import AesSealer
from broker.adapters.seal.wrapper import AesKeyWrapper, KeyWrapper
from broker.core.sealed import Binding, SealedSecret
from broker.core.secret import Secret
from broker.ports.errors import (
    SealBrokenError,
    SealClosedError,
    SealKeyMissingError,
    SealUnavailableError,
)

ASK_AGAIN_S = 5.0
"""How often a service that has not answered is asked again."""

_TEST = b"keybroker test"


class SealingKeyring:
    """Seals with one key and opens with all; never with a fresh key over existing ciphertext.

    Until `use` says otherwise the first key of the file seals, else the first service. `may_make`
    says that no other broker needs the file: then it is made where nothing is sealed yet.
    """

    def __init__(
        self,
        file: KeyFile | None,
        services: Sequence[KeyWrapper] = (),
        *,
        sealed_by: frozenset[str] = frozenset(),
        may_make: bool,
    ) -> None:
        """`sealed_by` are the ids of the keys that sealed what is kept; `refresh` reads keys."""
        self._file = file
        self._services = {service.key_id: service for service in services}
        self._sealed_by = sealed_by
        self._may_make = may_make
        self._keys: dict[str, KeyWrapper] = {}
        self._in_file: tuple[str, ...] = ()
        self._file_fault = ""
        self._sealer: AesSealer | None = None
        self._closed = "the sealing keys have not been read yet"
        self._wanted = ""
        self._answered: set[str] = set()
        self._distrust = ""
        self._asking: asyncio.Task[None] | None = None
        self._ask_at = 0.0
        self._turn = asyncio.Lock()
        self.generation = 0

    @property
    def fault(self) -> str:
        """Why nothing can be sealed, or nothing opened, and what to do."""
        if self._sealer is None:
            return self._closed
        if self._wanted:
            return wording.agreed_is_missing(self._wanted, self._file)
        service = self._services.get(self._sealer.current)
        return service.fault or self._distrust if service else ""

    @property
    def trouble(self) -> str:
        """What is wrong with the file, or with a service that does not seal."""
        current = self.current
        if self._file_fault and current:
            return self._file_fault
        if self._file and current in self._keys and current not in self._in_file:
            return wording.no_longer_holds(self._file, current)
        others = (key.fault for name, key in self._services.items() if name != current)
        return next(filter(None, others), "")

    @property
    def current(self) -> str:
        """The id of the key that seals."""
        return self._sealer.current if self._sealer else ""

    @property
    def ids(self) -> frozenset[str]:
        """The ids of the keys that were in the file, and of the services that have answered."""
        return frozenset(self._keys) | self._answered

    @property
    def named(self) -> frozenset[str]:
        """Those, and the services that have not answered."""
        return frozenset(self._keys) | frozenset(self._services)

    def use(self, key_id: str) -> bool:
        """Seal with this key from now on, or with none until it is at hand."""
        is_there = key_id in self._keys or key_id in self._services
        self._wanted = "" if is_there else key_id
        if self._sealer is not None and is_there:
            self._sealer.use(key_id)
        return is_there

    async def refresh(self) -> None:
        """Read the file, and ask services again that have not answered."""
        async with self._turn:
            await self._read()
        self._ask()

    async def settle(self, sealed_by: frozenset[str]) -> None:
        """Judge by what is kept now whether the keys fit."""
        async with self._turn:
            self._sealed_by = sealed_by
            await self._read()

    async def wait_for_services(self, within_s: float) -> None:
        """Give those that are being asked a moment to answer."""
        if self._asking is not None:
            await asyncio.wait({self._asking}, timeout=within_s)

    async def prove(self, key_id: str) -> None:
        """Have a key wrap and unwrap something."""
        wrapper = self._keys.get(key_id) or self._services.get(key_id)
        if wrapper is None:
            raise SealKeyMissingError(f"key {key_id} is not at hand")
        data_key = token_bytes(32)
        try:
            found = await wrapper.unwrap(await wrapper.wrap(data_key, _TEST), _TEST)
        except SealBrokenError:
            found = b""
        self._distrust = (
            "" if found == data_key else f"key {key_id} does not unwrap what it wrapped"
        )
        if self._distrust:
            raise SealUnavailableError(self._distrust)
        self._note_answer(key_id)

    async def make(self) -> str:
        """Append a key to the file."""
        if self._file is None or not self._may_make or self._services:
            raise SealClosedError(wording.made_by_hand(self._file))
        async with self._turn:
            try:
                made = AesKeyWrapper(await asyncio.to_thread(self._file.append))
            except KeyFileError as error:
                raise SealClosedError(str(error)) from None
            self._take([made])
            self._in_file = (*self._in_file, made.key_id)
        return made.key_id

    async def seal(self, secret: Secret, binding: Binding) -> SealedSecret:
        """Seal a secret, unless the key to seal with is not there."""
        if self._sealer is None or self._wanted:
            raise SealClosedError(self.fault)
        sealed = await self._sealer.seal(secret, binding)
        self._note_answer(sealed.sealed_by)
        return sealed

    async def open(self, sealed: SealedSecret, binding: Binding) -> Secret:
        """Open a secret, also while nothing can be sealed."""
        if self._sealer is None:
            raise SealClosedError(self._closed)
        secret = await self._sealer.open(sealed, binding)
        self._note_answer(sealed.sealed_by)
        return secret

    def _note_answer(self, key_id: str) -> None:
        """A service has answered: its key is at hand from now on."""
        if key_id in self._services and key_id not in self._answered:
            self._answered.add(key_id)
            self.generation += 1

    async def _read(self) -> None:
        """Take what the file holds now; what was taken before stays."""
        self._file_fault = ""
        try:
            keys = await asyncio.to_thread(self._keys_in_file)
        except KeyFileError as error:
            self._file_fault = str(error)
        else:
            if self._file and keys is None and (self._keys or not self._services):
                self._file_fault = (
                    wording.went_missing(self._file, self.current)
                    if self.current in self._keys
                    else wording.missing(self._file, self._sealed_by, self._may_make)
                )
            wrappers = [AesKeyWrapper(key) for key in keys or ()]
            self._in_file = tuple(wrapper.key_id for wrapper in wrappers)
            self._take(wrappers)
        if self._sealer is None:
            self._open_if_it_fits()

    def _keys_in_file(self) -> tuple[bytes, ...] | None:
        if self._file is None:
            return None
        is_first = self._sealer is None and not self._sealed_by and not self._keys
        if is_first and self._may_make and not self._services:
            return self._file.obtain()
        return self._file.read()

    def _take(self, wrappers: Sequence[KeyWrapper]) -> None:
        for wrapper in wrappers:
            if wrapper.key_id in self._keys:
                continue
            self._keys[wrapper.key_id] = wrapper
            self.generation += 1
            if self._sealer is not None:
                self._sealer.take(wrapper)
            if wrapper.key_id == self._wanted:
                self.use(wrapper.key_id)

    def _open_if_it_fits(self) -> None:
        """Open with the keys there are, where one of them sealed what is kept, or nothing is."""
        in_file = [self._keys[key_id] for key_id in self._in_file]
        known = [*in_file, *self._services.values()]
        fits = not self._sealed_by or any(key.key_id in self._sealed_by for key in known)
        if not known or not fits:
            self._closed = self._file_fault or wording.does_not_fit(
                self._file, self._in_file, self._services, self._sealed_by
            )
            return
        self._sealer = AesSealer(*known, *self._keys.values())
        self.generation += 1
        if self._wanted:
            self.use(self._wanted)

    def _ask(self) -> None:
        """Have services answer once, without waiting for them."""
        silent = [name for name in self._services if self._is_silent(name)]
        now = asyncio.get_running_loop().time()
        is_asking = self._asking is not None and not self._asking.done()
        if silent and not is_asking and now >= self._ask_at:
            self._ask_at = now + ASK_AGAIN_S
            self._asking = asyncio.create_task(self._ask_all(silent))

    def _is_silent(self, name: str) -> bool:
        return name not in self._answered or bool(self._services[name].fault)

    async def _ask_all(self, names: Sequence[str]) -> None:
        async def ask(name: str) -> None:
            try:
                await self.prove(name)
            except SealUnavailableError:
                return  # the service's fault tells

        await asyncio.gather(*map(ask, names))
