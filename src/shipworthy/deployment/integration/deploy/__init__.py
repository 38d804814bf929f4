"""Files by which other systems run a server: a container's recipe, manifests, a unit; made from the project file."""
