"""Get a partner ready: samples both ways, a checklist, a lint of its key address, a signed report."""
