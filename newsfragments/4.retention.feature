Installs that ended more than a year ago are forgotten, the last one of each node excepted; `keep_days` under `[installs]` sets another time, 0 keeps them all.
