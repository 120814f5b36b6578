In a storm of TFTP an offer goes before the packets of others: it takes half as long. Garbage collections no longer look at every node each time.
