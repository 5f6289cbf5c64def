#Region Public

// Creates a policy with an exponential delay between attempts.
//
// Parameters:
//  MaxAttempts - Number - total number of attempts.
//  FirstDelay - Number - delay in seconds after the first failure.
//
// Returns:
//  Structure - MaxAttempts, Attempt, Delay, LastError.
//
Function NewPolicy(MaxAttempts = 3, FirstDelay = 1) Export

	Policy = New Structure;
	Policy.Insert("MaxAttempts", MaxAttempts);
	Policy.Insert("Attempt", 0);
	Policy.Insert("Delay", FirstDelay);
	Policy.Insert("LastError", "");

	Return Policy;

EndFunction

// Tells whether one more attempt is allowed.
//
// Parameters:
//  Policy - Structure - see NewPolicy.
//
// Returns:
//  Boolean - True when an attempt may be made.
//
Function CanTry(Policy) Export

	Return Policy.Attempt < Policy.MaxAttempts;

EndFunction

// Registers a failed attempt and waits before the next one.
//
// Parameters:
//  Policy - Structure - see NewPolicy.
//  ErrorText - String - reason of the failure.
//
Procedure RegisterFailure(Policy, ErrorText) Export

	Policy.Attempt = Policy.Attempt + 1;
	Policy.LastError = ErrorText;

	If CanTry(Policy) Then
		Pause(Policy.Delay);
		Policy.Delay = Min(Policy.Delay * 2, 30);
	EndIf;

EndProcedure

// Tells whether the HTTP status is worth another attempt.
//
// Parameters:
//  StatusCode - Number - HTTP status code.
//
// Returns:
//  Boolean - True for throttling and server errors.
//
Function IsTemporaryStatus(StatusCode) Export

	Return StatusCode = 408
		Or StatusCode = 429
		Or StatusCode = 502
		Or StatusCode = 503
		Or StatusCode = 504;

EndFunction

#EndRegion

#Region Private

Procedure Pause(Seconds)

	Job = GetCurrentInfoBaseSession().GetBackgroundJob();
	If Job = Undefined Then
		// Interactive sessions must not be blocked for long.
		Seconds = Min(Seconds, 2);
	EndIf;

	Deadline = CurrentUniversalDateInMilliseconds() + Seconds * 1000;
	While CurrentUniversalDateInMilliseconds() < Deadline Do
		Continue;
	EndDo;

EndProcedure

#EndRegion
