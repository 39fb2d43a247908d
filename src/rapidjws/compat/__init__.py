"""The interfaces of other libraries over the engine, for code that was written for them."""
