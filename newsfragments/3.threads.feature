Boot programs have threads of their own: a file server or name server that is gone holds up repositories, and no boot.
