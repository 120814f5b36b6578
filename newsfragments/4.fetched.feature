The packages that a node has fetched are compared with those of the last install of the same system ("62 MB of packages, 60 % of the last time's"), and counted on when pxed was restarted.
