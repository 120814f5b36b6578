With operating systems of an operator's own pxed starts faster: a template is compiled once, not once for each of them.
