pxed raises its own limit of open files as far as the host lets it: started from a shell it had 1024, less than its default number of transfers.
