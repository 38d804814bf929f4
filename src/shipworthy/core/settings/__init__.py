"""The sections of the project file, by stage; `core.project` parses them."""
