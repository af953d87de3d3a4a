"""Moving over: configurations of OpenSIPS and Kamailio, read and turned into ours."""
