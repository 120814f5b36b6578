`pxed bench` boots machines that don't exist, to see how the appliance bears a whole rack.
