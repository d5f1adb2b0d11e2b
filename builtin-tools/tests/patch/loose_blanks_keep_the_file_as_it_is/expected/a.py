def f():
	return 1   
	END
