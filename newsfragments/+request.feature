HTTP requests and boot storms cost less of the processor again: a file that fits the socket leaves at once with its head, without timers.
