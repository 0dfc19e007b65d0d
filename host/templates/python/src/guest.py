"""Greets. Input: a name in UTF-8, of at most 100 bytes. Output: `Hello, NAME!`."""

import wit_world
from componentize_py_types import Err
from wit_world.imports.types import Refusal

# Bytes of a name.
LONGEST = 100


class WitWorld(wit_world.WitWorld):
    def handle(self, input: bytes) -> bytes:
        """Does one job: what it returns is the output; a refusal that it raises has a code and a reason."""
        if not input:
            raise Err(Refusal(2, "nobody to greet"))
        if len(input) > LONGEST:
            raise Err(Refusal(3, "a name has at most 100 bytes"))
        try:
            name = input.decode()
        except UnicodeDecodeError as error:
            raise Err(Refusal(1, str(error))) from error
        return f"Hello, {name}!".encode()
