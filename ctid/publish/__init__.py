"""What ctid tells the outside without being asked: the retained tree and the events on MQTT."""
