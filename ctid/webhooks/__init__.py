"""Events sent to tools without MQTT: POSTs that are signed, tried again, and kept on disk until taken."""
