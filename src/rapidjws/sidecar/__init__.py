"""The service behind a gateway (``rapidjws serve``): workers, connections, ext_authz, administration."""
