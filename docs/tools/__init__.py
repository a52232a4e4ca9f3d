"""The tools that make the site of the pages beside them; not part of the site."""
