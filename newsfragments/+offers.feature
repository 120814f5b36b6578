When many machines ask at once, an offer costs little more than half of what it did: the answers of a turn leave behind one another.
