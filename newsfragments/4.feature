An install's `repo` may be the name of a repository as well as a URL; `pxed os list --json` names each family's recipe, number of boots and repositories.
