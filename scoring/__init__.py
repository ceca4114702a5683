"""The core: what a record, a model and a score are. Knows no HTTP, no broker and no cloud."""
