"""A virtual machine room: hosts, the TCP network between them, and the event loop that unmodified servers run on."""
