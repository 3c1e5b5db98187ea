service_remove tiny-http
