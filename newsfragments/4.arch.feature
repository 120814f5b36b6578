A node of 64-bit ARM takes its files from the repository of its architecture (`ubuntu-24.04-aarch64`, `rocky-9-aarch64`, ...) by itself; `repo` is needed for other names only.
